"""Jobs that wait for room: found key by key, counted no further than needed, and taken by one dispatcher at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import pytest

from perdure.ledger import Ledger, limits
from perdure.ledger.limits import LimitCount, Place
from support.ledgers import job


def waiting(ledger: Ledger, task: str, key: str, count: int, bulkhead: str = "normal") -> None:
    ledger.submit([job(task=task, limit_key=key, bulkhead=bulkhead) for _ in range(count)])


def everything(counts: Iterable[LimitCount]) -> Mapping[Place, int]:
    return {(each.bulkhead, each.task, each.key): each.waiting for each in counts}


def up_to(most: int) -> object:
    """The rule of a limit on each key."""
    return lambda counts: {(c.bulkhead, c.task, c.key): max(0, most - c.active) for c in counts}


def test_what_waits_and_what_takes_up_room_is_counted_by_key(ledger: Ledger) -> None:
    assert not ledger.any_waiting_for_room()
    assert ledger.limit_counts() == []
    waiting(ledger, "export", "a", 3)
    waiting(ledger, "export", "b", 1)
    waiting(ledger, "plain", "", 2, "critical")
    ledger.submit([job(task="export")])
    taken = ledger.take_within_limits({("normal", "export", "a"): 2}, everything, None)
    assert len(taken) == 2
    claim = ledger.claim(taken[0].id, "w", "w", 1)
    assert claim is not None
    assert ledger.limit_counts() == [
        LimitCount("critical", "plain", "", 2, 0),
        LimitCount("normal", "export", "a", 1, 2),
        LimitCount("normal", "export", "b", 1, 0),
    ]
    assert ledger.any_waiting_for_room()


def test_a_look_is_bounded_and_the_next_one_goes_on_behind_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS", 2)
    monkeypatch.setattr(limits, "PAGE", 3)
    waiting(ledger, "t", "a", 5)
    for key in "bc":
        waiting(ledger, "t", key, 1)

    def look(after: str | None) -> dict[str, int]:
        return {c.key: c.waiting for c in ledger.limit_counts(None if after is None else ("normal", "t", after))}

    assert look(None) == {"a": 3, "b": 1}
    assert look("b") == {"c": 1, "a": 3}
    assert look("c") == {"a": 3, "b": 1}


def test_dispatchers_side_by_side_take_no_more_than_there_is_room_for(ledger: Ledger) -> None:
    waiting(ledger, "t", "a", 40)
    place, taken, start = ("normal", "t", "a"), [], threading.Barrier(4)

    def dispatch() -> None:
        start.wait()
        for _ in range(5):  # each has worked out before that there is room for three
            taken.extend(ledger.take_within_limits({place: 3}, up_to(3), None))  # type: ignore[arg-type]

    threads = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 3
    assert ledger.limit_counts()[0].active == 3


def test_a_look_jumps_from_key_to_key(ledger: Ledger) -> None:
    if ledger.database.dialect != "sqlite":
        return
    names = {"bulkhead": "", "task": "", "key": "", "most": 9, "page": 9}
    explain = f"EXPLAIN QUERY PLAN {limits._WAITING.text}"
    plan = ledger.transact(lambda c: [row.detail for row in c.exec_driver_sql(explain, names)])
    jumps = [step for step in plan if step.startswith("SEARCH j ")]
    assert len(jumps) == 2
    assert all("ix_jobs_waiting_for_room (state=? AND (bulkhead,task,limit_key)>(?,?,?))" in step for step in jumps)
