"""Submitting: what is refused, with what words; nothing is written then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure import InvalidArguments, Perdure, Task, UnknownTask, Unserialisable
from perdure.errors import UnknownBulkhead
from support.submits import bells


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda add: add.submit(), InvalidArguments),
        (lambda add: add.submit(1, 2, 3), InvalidArguments),
        (lambda add: add.submit("1"), InvalidArguments),
        (lambda add: add.submit(a=1, c=2), InvalidArguments),
        (lambda add: add.submit(object()), Unserialisable),
        (lambda add: add.submit(float("nan")), Unserialisable),
        (lambda add: add.delay("1"), InvalidArguments),
        (lambda add: add.submit_many([(1,), ("2",)]), InvalidArguments),
        (lambda add: add.options(bulkhead="critcal").submit(1), UnknownBulkhead),
        (lambda add: add.apply_async((1,), queue="celery"), UnknownBulkhead),
        (lambda add: add.apply_async((1,), link=1), InvalidArguments),
        (lambda add: add.options(idempotency_key="k").submit_many([(1,)]), InvalidArguments),
        (lambda add: add.options(session="session").submit(1), InvalidArguments),
    ],
)
def test_a_bad_call_writes_nothing_and_rings_no_bell(
    app: Perdure, add: Task[..., int], call: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(add)
    assert app.jobs.count() == {}
    assert bells(app) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": 10},
        {"priority": -1},
        {"priority": "high"},
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"delay": "5"},
        {"delay": 1, "run_at": datetime.now(UTC)},
        {"run_at": 5.0},
        {"run_at": "tomorrow"},
        {"deadline": "tomorrow"},
        {"timeout": 0},
        {"timeout": "5"},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 256},
        {"idempotency_key": 7},
        {"idempotency_key": "a\x00b"},
        {"idempotency_key": "\ud800"},
        {"idempotency_ttl": 0},
        {"idempotency_ttl": -1},
        {"tags": {"tenant": 7}},
        {"tags": {"t" * 65: "a"}},
        {"tags": {"tenant": "a" * 256}},
        {"tags": {"tenant": "\x00"}},
        {"tags": ["tenant"]},
        {"tags": "tenant=a"},
        {"delya": 1},
    ],
    ids=lambda wrong: "-".join(wrong) + f"={next(iter(wrong.values()))!r:.20}",
)
def test_a_wrong_option_names_itself(add_lite: Task[..., int], wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments, match=next(iter(wrong))):
        add_lite.options(**wrong)


def test_an_unknown_task_is_named_with_the_closest(app: Perdure, add: Task[..., int]) -> None:
    with pytest.raises(UnknownTask, match=r"'tests.ad' is not registered. Did you mean 'tests.add'\?"):
        app.task("tests.ad")
