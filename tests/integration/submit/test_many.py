"""Submitting many jobs at once."""

from __future__ import annotations

from collections.abc import Iterator

from perdure import Perdure, Task
from perdure.broker.bells import MOST
from support.submits import bells


def test_many_jobs_from_a_generator(app: Perdure, add: Task[..., int]) -> None:
    drawn: list[int] = []

    def calls() -> Iterator[tuple[int, int]]:
        for number in range(2_500):
            drawn.append(number)
            yield number, 1

    handles = add.submit_many(calls())
    assert len(drawn) == len(handles) == 2_500
    assert app.jobs.count() == {"queued": 2_500}
    assert bells(app) == {"normal": MOST}
    assert handles[1_700].record.args == [1_700, 1]


def test_calls_can_be_tuples_dicts_or_single_arguments(app: Perdure, add: Task[..., int]) -> None:
    handles = add.options(tags={"run": "1"}).submit_many([(1, 2), [3], {"a": 4, "b": 5}, 6])
    assert [(handle.record.args, handle.record.kwargs) for handle in handles] == [
        ([1, 2], {}),
        ([3], {}),
        ([], {"a": 4, "b": 5}),
        ([6], {}),
    ]
    assert len(app.jobs.list(tag="run=1")) == 4
    assert add.submit_many([]) == []


def test_many_for_later_ring_no_bells(app: Perdure, add: Task[..., int]) -> None:
    add.options(delay=60).submit_many([(1,), (2,)])
    assert bells(app) == {}
    assert app.jobs.count() == {"scheduled": 2}


def test_a_few_ring_a_few_bells_and_none_beyond_what_could_be_answered(app: Perdure, add: Task[..., int]) -> None:
    add.submit_many([(1,), (2,), (3,)])
    assert bells(app) == {"normal": 3}
    for number in range(MOST):
        add.submit(number)
    assert bells(app) == {"normal": MOST}
