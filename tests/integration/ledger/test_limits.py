"""Lanes that something holds back: found lane by lane, and claimed by one worker at a time as their limits allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from perdure.ledger import Ledger
from perdure.ledger.jobs import lanes
from perdure.ledger.jobs.lanes import Lane, Place
from perdure.model.lanes import PLAIN, REPLICAS, lane_of
from perdure.model.records import Claim
from support.ledgers import SUCCEED, at_once, claimer, job, submitted


def waiting(ledger: Ledger, task: str, key: str, count: int, bulkhead: str = "normal") -> None:
    ledger.jobs.submit([job(task=task, limit_key=key, bulkhead=bulkhead) for _ in range(count)])


def key_of(task: str, key: str) -> str:
    return lane_of(task, limit_key=key, breaker=None)


def up_to(most: int) -> lanes.Admitted:
    """The rule of a limit on each key."""

    def admitted(lanes: Sequence[Lane], running: Mapping[Place, int]) -> dict[str, int]:
        return {lane.name: most - running.get(("normal", lane.task, str(lane.limit_key)), 0) for lane in lanes}

    return admitted


def test_each_lane_in_which_jobs_wait_is_named_once_with_what_its_first_job_says(ledger: Ledger) -> None:
    assert ledger.jobs.lanes("normal") == []
    ledger.jobs.submit([job(n) for n in range(3)])
    ledger.jobs.submit([job(breaker="payments", task="pay"), job(breaker="payments", task="refund"), job(replica_of="x")])
    waiting(ledger, "export", "a", 3)
    waiting(ledger, "export", "b", 1)
    waiting(ledger, "export", "c", 1, "critical")
    found = [(lane.name, lane.task, lane.breaker, lane.limit_key) for lane in ledger.jobs.lanes("normal")]
    assert found == [
        (PLAIN, "tests.add", None, None),
        ("breaker:payments", "pay", "payments", None),
        (key_of("export", "a"), "export", None, "a"),
        (key_of("export", "b"), "export", None, "b"),
        (REPLICAS, "tests.add", None, None),
    ]
    assert [lane.limit_key for lane in ledger.jobs.lanes("critical")] == ["c"]
    assert PLAIN not in {lane.name for lane in ledger.jobs.lanes("normal", after=PLAIN)}


def test_of_two_siblings_at_once_a_worker_gets_neither(ledger: Ledger) -> None:
    ledger.jobs.submit([job(n, replica_of="x") for n in range(2)])
    by = claimer(ledger)
    assert ledger.jobs.claim(by, 2, REPLICAS) == []
    assert len(ledger.jobs.claim(by, 1, REPLICAS)) == 1
    assert ledger.jobs.claim(by, 2, REPLICAS) == []


def test_of_the_plain_lane_jobs_may_be_passed_over_by_their_place_in_line(ledger: Ledger) -> None:
    submitted(ledger)
    submitted(ledger, delay=60.0)
    submitted(ledger, breaker="b")
    plain, guarded = ledger.jobs.lanes("normal", back=0.0)
    assert plain.name == PLAIN
    assert plain.waits == pytest.approx(60.0, abs=5.0)
    assert guarded.waits == 0.0
    assert ledger.jobs.lanes("normal", back=60.0)[0].waits == 0.0


def test_a_lane_says_when_its_first_job_may_run_at_whatever_priority(ledger: Ledger) -> None:
    submitted(ledger, priority=0, delay=3600.0)
    submitted(ledger, priority=9, delay=60.0)
    submitted(ledger, breaker="b", delay=3600.0)
    submitted(ledger, breaker="b", priority=9)
    plain, guarded = ledger.jobs.lanes("normal")
    assert plain.waits == pytest.approx(60.0, abs=5.0)
    assert guarded.waits == 0.0


def test_what_runs_or_has_ended_makes_no_lane(ledger: Ledger) -> None:
    submitted(ledger, breaker="a")
    cancelled = submitted(ledger, breaker="b")
    ledger.jobs.cancel(cancelled, "no")
    [claim] = ledger.jobs.claim(claimer(ledger), 1, "breaker:a")
    assert ledger.jobs.lanes("normal") == []
    ledger.jobs.settle(claim, SUCCEED)
    assert ledger.jobs.lanes("normal") == []


def test_a_look_is_bounded_and_the_next_one_goes_on_behind_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LANES", 2)
    for key in "abcde":
        waiting(ledger, "t", key, 3)
    pages, after = [], ""
    for _ in range(3):
        page = ledger.jobs.lanes("normal", after)
        pages.append("".join(str(lane.limit_key) for lane in page))
        after = page[-1].name
    assert pages == ["ab", "cd", "e"]
    assert ledger.jobs.lanes("normal", after) == []


def test_what_runs_is_counted_by_bulkhead_task_and_key(ledger: Ledger) -> None:
    assert ledger.jobs.running_within_limits() == {}
    waiting(ledger, "t", "a", 3)
    waiting(ledger, "t", "a", 2, "critical")
    waiting(ledger, "t", "", 1)
    submitted(ledger)
    for lane, most in ((key_of("t", "a"), 2), (key_of("t", ""), 5), (PLAIN, 5)):
        ledger.jobs.claim(claimer(ledger), most, lane)
    ledger.jobs.claim(claimer(ledger, bulkhead="critical"), 1, key_of("t", "a"))
    assert ledger.jobs.running_within_limits() == {
        ("normal", "t", "a"): 2,
        ("normal", "t", ""): 1,
        ("critical", "t", "a"): 1,
    }


def test_workers_side_by_side_claim_no_more_than_there_is_room_for(ledger: Ledger) -> None:
    waiting(ledger, "t", "a", 40)
    lanes = ledger.jobs.lanes("normal")

    def claim_all(number: int) -> list[Claim]:
        by = claimer(ledger, worker=f"w-{number}", pid=number + 1)
        return [claim for _ in range(5) for claim in ledger.jobs.claim_within(by, lanes, up_to(3)) or []]

    found = at_once([lambda n=n: claim_all(n) for n in range(4)])  # type: ignore[misc]
    assert sum(len(claims) for claims in found) == 3
    assert ledger.jobs.running_within_limits() == {("normal", "t", "a"): 3}


def test_a_lane_without_room_is_left_alone(ledger: Ledger) -> None:
    waiting(ledger, "t", "a", 2)
    waiting(ledger, "t", "b", 2)
    lanes = ledger.jobs.lanes("normal")
    [first] = ledger.jobs.claim_within(claimer(ledger), lanes, lambda *_: {key_of("t", "b"): 1}) or []
    assert first.limit_key == "b"
    found = ledger.jobs.claim_within(claimer(ledger), lanes, up_to(1)) or []
    assert [claim.limit_key for claim in found] == ["a"]
    assert ledger.jobs.claim_within(claimer(ledger), lanes, lambda *_: {}) == []


def test_who_need_not_wait_finds_the_turn_at_a_bulkhead_s_limits_taken(ledger: Ledger) -> None:
    if ledger.database.dialect != "postgresql":
        pytest.skip("SQLite has one writer, who waits")
    for bulkhead in ("normal", "critical"):
        waiting(ledger, "t", "a", 2, bulkhead)
    lanes = ledger.jobs.lanes("normal")
    meanwhile: list[list[Claim] | None] = []

    def admitted(*_: Any) -> dict[str, int]:
        for bulkhead in ("normal", "critical"):
            other = claimer(ledger, worker="w-2", bulkhead=bulkhead)
            meanwhile.append(ledger.jobs.claim_within(other, lanes, up_to(1), waits=False))
        return {key_of("t", "a"): 1}

    assert len(ledger.jobs.claim_within(claimer(ledger), lanes, admitted, waits=False) or []) == 1
    taken, of_another_bulkhead = meanwhile
    assert taken is None
    assert len(of_another_bulkhead or []) == 1
    assert ledger.jobs.claim_within(claimer(ledger), lanes, up_to(1), waits=False) == []


def test_a_look_jumps_from_lane_to_lane(ledger: Ledger) -> None:
    if ledger.database.dialect != "sqlite":
        return
    values = {"bulkhead": "normal", "after": "", "most": 9, "plain": PLAIN, "back": 1.0}
    explain = f"EXPLAIN QUERY PLAN {lanes._LANES['sqlite']}"
    plan = ledger.transact(lambda c: [row.detail for row in c.exec_driver_sql(explain, values)])
    jumps = [step for step in plan if "ix_perdure_jobs_ready (bulkhead=? AND lane>?)" in step]
    firsts = [step for step in plan if "ix_perdure_jobs_ready (bulkhead=? AND lane=? AND priority=? AND run_at>?)" in step]
    assert any("ix_perdure_jobs_ready (bulkhead=? AND lane=?)" in step for step in plan)
    # The plain lane is looked at by priority, and another one only when its most urgent job is not due.
    assert (len(jumps), len(firsts)) == (2, 20)
    assert not any("SCAN perdure_jobs" in step or "SCAN j" in step for step in plan)
