"""A task is what its decorator says, whatever attributes its function carries."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import tenacity

from perdure import Perdure, RetryPolicy
from perdure.model.job_options import SubmitOptions
from perdure.submit.task import Task


class Foreign:
    """What no part of perdure can use."""

    def __bool__(self) -> bool:
        raise AssertionError("an attribute of the function was used")

    __call__ = __getattr__ = __eq__ = __hash__ = __lt__ = __bool__  # type: ignore[assignment,misc]


def decorated(function: Callable[..., Any], attributes: list[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    for name in attributes:
        setattr(wrapper, name, Foreign())
    return wrapper


def plain(number: int) -> int:
    """Count."""
    return number


def attributes_of_tasks() -> list[str]:
    task = Perdure().register(plain)
    own = {*vars(task), *(name for name in dir(Task) if not name.startswith("__"))}
    return sorted(own - {name for name in own if name.startswith("__")})


def test_attributes_of_the_function_never_become_those_of_the_task() -> None:
    names = attributes_of_tasks()
    assert {"retry", "name", "timeout", "limit", "signature", "_submitter", "function", "submit"} <= set(names)
    app = Perdure()
    task = app.register(decorated(plain, names), name="shop.count", retry=RetryPolicy(max_retries=1), timeout=5)
    bare = app.register(plain, name="shop.bare", retry=RetryPolicy(max_retries=1), timeout=5)

    assert {name: type(getattr(task, name)) for name in names} == {name: type(getattr(bare, name)) for name in names}
    assert (task.name, task.retry, task.timeout, task.is_async) == ("shop.count", RetryPolicy(max_retries=1), 5, False)


def test_it_keeps_what_describes_the_function() -> None:
    task = Perdure().register(decorated(plain, ["retry"]))
    assert (task.__name__, task.__qualname__, task.__module__) == ("plain", "plain", plain.__module__)  # type: ignore[attr-defined]
    assert task.__doc__ == "Count."
    assert inspect.signature(task) == inspect.signature(plain)
    assert inspect.unwrap(task) is plain  # type: ignore[arg-type]


@pytest.mark.parametrize("attribute", ["retry", "name", "timeout", "limit", "priority", "signature", "_app"])
def test_a_job_of_a_function_with_attributes_of_its_own_can_be_written(attribute: str) -> None:
    app = Perdure()
    task = app.register(decorated(plain, [attribute]), name="shop.count")
    new = app.submitter._new_job(task, (3,), {}, SubmitOptions())
    assert (new.task, new.args, new.priority, new.limit_key) == ("shop.count", "[3]", 5, None)


def test_a_function_that_tenacity_retries_keeps_the_job_s_own_policy() -> None:
    @tenacity.retry(stop=tenacity.stop_after_attempt(2))
    def flaky() -> None:
        raise OSError("down")

    task = Perdure().register(flaky, retry="fast")
    assert task.retry == RetryPolicy.named("fast")
