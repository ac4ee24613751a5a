"""Submitting many jobs at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from perdure import BulkheadFull, IdempotencyConflict, InvalidArguments, Perdure, Task
from perdure.broker.queues import MOST
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


def test_each_call_may_have_options_of_its_own(app: Perdure, add: Task[..., int]) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    handles = add.options(tags={"run": "1"}, delay=60, priority=7).submit_many(
        [
            (1, 2),
            add.call(3, b=4),
            add.options(idempotency_key="k-1", priority=0, tags={"tenant": "a"}).call(5, 6),
            add.options(run_at=later, bulkhead="critical", timeout=2.5).call(7),
        ]
    )
    records = [handle.record for handle in handles]
    assert [(record.args, record.kwargs) for record in records] == [([1, 2], {}), ([3], {"b": 4}), ([5, 6], {}), ([7], {})]
    assert [record.priority for record in records] == [7, 7, 0, 7]
    assert [record.tags for record in records] == [{"run": "1"}] * 2 + [{"run": "1", "tenant": "a"}, {"run": "1"}]
    assert [record.idempotency_key for record in records] == [None, None, "k-1", None]
    assert [record.bulkhead for record in records] == ["normal"] * 3 + ["critical"]
    assert records[3].run_at == later
    assert [handle.state for handle in handles] == ["scheduled"] * 4


def keyed(add: Task[..., int], keys: Iterator[int] | range, more: int = 0) -> list[object]:
    return [add.options(idempotency_key=f"k-{key}").call(key, more) for key in keys]


def test_keys_are_kept_call_by_call(app: Perdure, add: Task[..., int]) -> None:
    first = add.submit_many(keyed(add, range(1_500)))
    again = add.submit_many(keyed(add, reversed(range(1_600))))
    assert not any(handle.deduplicated for handle in first)
    assert [handle.deduplicated for handle in again] == [False] * 100 + [True] * 1_500
    assert [handle.id for handle in again[100:]] == [handle.id for handle in reversed(first)]
    assert app.jobs.count() == {"queued": 1_600}


def test_a_key_twice_among_the_calls_makes_one_job(app: Perdure, add: Task[..., int]) -> None:
    call = add.options(idempotency_key="same").call(1, 2)
    one, two, three = add.submit_many([call, (1, 2), call])
    assert (one.id, one.deduplicated, three.deduplicated) == (three.id, False, True)
    assert not two.deduplicated
    assert app.jobs.count() == {"queued": 2}


def test_of_a_chunk_with_a_key_that_belongs_to_other_arguments_nothing_is_written(
    app: Perdure, add: Task[..., int]
) -> None:
    add.submit_many(keyed(add, range(3)))
    with pytest.raises(IdempotencyConflict, match="k-2") as caught:
        add.submit_many([*[(n, n) for n in range(1_000)], (9, 9), *keyed(add, range(2, 4), more=1)])
    assert caught.value.__notes__ == ["1000 jobs were submitted before."]
    assert app.jobs.count() == {"queued": 1_003}


def test_a_bulkhead_that_a_call_names_has_its_own_bound(migrated_url: str, redis_url: str) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, bulkheads={"critical": {"max_depth": 3}})
    add: Task[..., int] = app.register(lambda a: a, name="add")
    with pytest.raises(BulkheadFull, match="critical") as caught:
        add.submit_many(call for n in range(5) for call in [(n,), add.options(bulkhead="critical").call(n)])
    assert caught.value.__notes__ == ["6 jobs were submitted before."]
    assert app.jobs.count("bulkhead") == {"critical": 3, "normal": 3}
    app.close()


def test_calls_of_others_and_options_for_all_are_refused(app: Perdure, add: Task[..., int]) -> None:
    other: Task[..., int] = app.register(lambda a: a, name="other")
    with pytest.raises(InvalidArguments, match="a call of other is none of this task"):
        add.submit_many([other.call(1)])
    with pytest.raises(InvalidArguments, match="session= is for all calls"):
        add.submit_many([add.options(session=object()).call(1)])  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="give each call its own"):
        add.options(idempotency_key="k").submit_many([(1, 2)])
    with pytest.raises(InvalidArguments, match="not both"):
        add.options(delay=1, run_at=datetime.now(UTC))
    assert app.jobs.count() == {}
