"""Defining tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import JobContext, Perdure, RetryPolicy
from perdure.errors import DuplicateTask, InvalidJobDefinition, UnknownBulkhead


def test_a_task_is_still_a_function(sqlite_app: Perdure) -> None:
    @sqlite_app.job
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    assert double(4) == 8
    assert (vars(double)["__name__"], double.__doc__) == ("double", "Twice as much.")
    assert double.name.endswith("double")
    assert sqlite_app.task(double.name) is double


def test_defaults_and_options_of_a_task(sqlite_app: Perdure) -> None:
    @sqlite_app.job(name="a.b", bulkhead="critical", retry="fast", timeout=30, breaker="payments", priority=1)
    def work(ctx: JobContext, n: int) -> None: ...

    assert (work.name, work.bulkhead, work.retry, work.timeout) == ("a.b", "critical", RetryPolicy.named("fast"), 30)
    assert (work.breaker, work.priority, work.is_async) == ("payments", 1, False)
    assert work.submit(3).record.priority == 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"bulkhead": "critcal"}, UnknownBulkhead, "Did you mean 'critical'"),
        ({"retry": "fats"}, InvalidJobDefinition, "Did you mean 'fast'"),
        ({"timeout": 0}, InvalidJobDefinition, "timeout=0"),
        ({"priority": 10}, InvalidJobDefinition, "priority=10"),
        ({"name": "n" * 256}, InvalidJobDefinition, "255"),
        ({"timeuot": 5}, InvalidJobDefinition, "timeuot"),
    ],
)
def test_a_wrong_definition_names_what_is_wrong(
    sqlite_app: Perdure, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    def work() -> None: ...

    with pytest.raises(error, match=said):
        sqlite_app.job(**options)(work)
    assert sqlite_app.tasks == {}


def test_what_is_no_function_cannot_be_a_job(sqlite_app: Perdure) -> None:
    import functools

    def generator() -> Iterator[int]:
        yield 1

    for wrong in (generator, 7, functools.partial(print, 1)):
        with pytest.raises(InvalidJobDefinition):
            sqlite_app.job(wrong)  # type: ignore[call-overload,arg-type]


def test_two_functions_cannot_share_a_name(sqlite_app: Perdure) -> None:
    @sqlite_app.job(name="a.b")
    def one() -> None: ...

    def two() -> None: ...

    with pytest.raises(DuplicateTask, match=r"'a.b' is registered .*one.* already; give another name="):
        sqlite_app.job(name="a.b")(two)
    assert sqlite_app.task("a.b") is one


def test_a_module_that_is_loaded_again_redefines_its_tasks(sqlite_app: Perdure, tmp_path: Path) -> None:
    source = tmp_path / "shop_tasks.py"
    names: dict[str, Any] = {"app": sqlite_app, "__name__": "shop_tasks"}
    for version in ("1", "2"):
        source.write_text(f"@app.job\ndef work(n: int) -> str:\n    return '{version}'\n")
        exec(compile(source.read_text(), str(source), "exec"), names)
        assert sqlite_app.task("shop_tasks.work")(1) == version
    assert list(sqlite_app.celery.tasks).count("shop_tasks.work") == 1


def test_a_task_that_is_defined_late_is_known_to_celery(sqlite_app: Perdure) -> None:
    celery = sqlite_app.celery

    @sqlite_app.job(name="late.work")
    def work() -> None: ...

    assert "late.work" in celery.tasks
    with pytest.raises(Exception, match="perdure worker"):
        celery.tasks["late.work"]()
