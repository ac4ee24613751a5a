"""A claim is won once and gives a fence; what a stale fence writes has no effect."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from perdure.errors import LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.jobs.settle import Settled
from perdure.ledger.schema import jobs
from perdure.model.dead_letter import LetterFilter
from perdure.model.records import RELEASED, Claim, Settlement
from perdure.model.states import JobState, Outcome, Transition
from support.ledgers import (
    DIE,
    LOSE,
    RETRY,
    SUCCEED,
    at_once,
    claimed,
    claimer,
    dead,
    job,
    running,
    submitted,
    try_claim,
)
from support.waiting import wait_until

SNOOZE = Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=30.0, error_type="Snooze", error="later")
HAND_BACK = Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False, error="drains")
CANCEL = Settlement(Transition.CANCEL, Outcome.CANCELLED, error="cancelled")


def test_a_claim_has_what_a_run_needs(ledger: Ledger) -> None:
    job_id = submitted(ledger, 1, tags={"a": "b"}, idempotency_key="k", priority=2)
    claim = claimed(ledger, job_id, worker="w-7", pid=77)
    assert (claim.job_id, claim.fence, claim.attempt, claim.crashes, claim.task) == (job_id, 1, 1, 0, "tests.add")
    assert (claim.args, claim.kwargs, claim.tags, claim.idempotency_key) == ("[1]", "{}", '{"a":"b"}', "k")
    assert (claim.worker_name, claim.worker_pid, claim.priority) == ("w-7", 77, 2)
    assert claim.created_at <= claim.queued_at <= claim.started_at == claim.first_started_at
    record = ledger.jobs.get(job_id)
    assert (record.state, record.worker, record.worker_pid, record.fence) == ("running", "w-7", 77, 1)


def test_each_job_is_claimed_by_one_of_many_claimers(ledger: Ledger) -> None:
    ids = [result.id for result in ledger.jobs.submit([job(n) for n in range(60)])]

    def claim_all(number: int) -> list[Claim]:
        mine, by = [], claimer(ledger, worker=f"w-{number}", pid=number + 1)
        while slice_ := ledger.jobs.claim(by, 7):
            mine += slice_
        return mine

    found = [claim for each in at_once([lambda n=n: claim_all(n) for n in range(6)]) for claim in each]  # type: ignore[misc]
    assert sorted(claim.job_id for claim in found) == sorted(ids)
    assert {claim.fence for claim in found} == {1}


def test_there_is_nothing_to_claim_of_a_job_that_does_not_wait(ledger: Ledger) -> None:
    claim = running(ledger)
    done, gone, cancelled = running(ledger), dead(ledger)[0], submitted(ledger)
    ledger.jobs.settle(done, SUCCEED)
    ledger.jobs.cancel(cancelled, "no")
    later = submitted(ledger, delay=60.0)
    for job_id in (claim.job_id, done.job_id, gone.job_id, cancelled, later, "no such job"):
        assert try_claim(ledger, job_id, worker="w-2") is None
    assert ledger.jobs.claim(claimer(ledger), 100) == []


def test_what_has_ended_is_in_nobody_s_way(ledger: Ledger) -> None:
    """What waits no more must not take up room among the first jobs of a lane."""
    later = [submitted(ledger, n, delay=60.0) for n in range(3)]
    for job_id in [*later, *(submitted(ledger, n, priority=0) for n in range(3))]:
        ledger.jobs.cancel(job_id, "no")
    ledger.jobs.cancel(running(ledger, priority=0).job_id, "no")
    dead(ledger, priority=0)
    ledger.jobs.submit([job(9, deadline=1.0, priority=0)])
    ledger.jobs.bury_expired(10)
    waiting = submitted(ledger, priority=9)
    assert [claim.job_id for claim in ledger.jobs.claim(claimer(ledger), 1)] == [waiting]


def test_claims_come_by_priority_and_then_by_time(ledger: Ledger) -> None:
    ids = {name: submitted(ledger, priority=int(name[0])) for name in ("5a", "9a", "0a", "5b", "0b")}
    found = [claim.job_id for _ in range(2) for claim in ledger.jobs.claim(claimer(ledger), 3)]
    assert found == [ids[name] for name in ("0a", "0b", "5a", "5b", "9a")]


def test_jobs_whose_time_has_come_are_claimed_as_they_stand(ledger: Ledger) -> None:
    scheduled = submitted(ledger, 1, delay=0.05)
    retried = running(ledger, 2)
    ledger.jobs.settle(retried, Settlement(Transition.RETRY, Outcome.FAILED, delay=0.05))
    later = running(ledger, 3)
    ledger.jobs.settle(later, RETRY)
    wait_until(lambda: ledger.jobs.depth("normal", 9) == 2)
    assert {ledger.jobs.get(job_id).state for job_id in (scheduled, retried.job_id)} == {"queued"}
    due = ledger.jobs.get(scheduled).run_at
    found = {claim.job_id: claim for claim in ledger.jobs.claim(claimer(ledger), 9)}
    assert set(found) == {scheduled, retried.job_id}
    assert due is not None
    assert found[scheduled].queued_at == pytest.approx(due.timestamp(), abs=1e-5)  # it counts as waiting since then
    assert found[retried.job_id].attempt == 2


def test_tasks_that_a_worker_does_not_know_are_left_to_others(ledger: Ledger) -> None:
    new = submitted(ledger, task="tests.new", priority=0)
    known = submitted(ledger, task="tests.add")
    old_release = replace(claimer(ledger), tasks=("tests.add",))
    assert [claim.job_id for claim in ledger.jobs.claim(old_release, 5)] == [known]
    assert ledger.jobs.claim(replace(old_release, tasks=()), 5) == []
    assert [claim.job_id for claim in ledger.jobs.claim(claimer(ledger), 5)] == [new]


def test_a_job_past_its_deadline_is_not_claimed(ledger: Ledger) -> None:
    late, fine = submitted(ledger, deadline=1.0), submitted(ledger, deadline=4e9)
    assert [claim.job_id for claim in ledger.jobs.claim(claimer(ledger), 5)] == [fine]
    assert ledger.jobs.get(late).state == "queued"


def test_a_claim_whose_commit_was_in_doubt_is_found_again_by_the_same_child_only(ledger: Ledger) -> None:
    submitted(ledger)
    by = claimer(ledger, pid=11)
    found = ledger.jobs.claim(by, 5)
    assert ledger.jobs.claim(by, 5, in_doubt=True) == found
    assert ledger.jobs.claim(by, 5) == []
    assert ledger.jobs.claim(replace(by, pid=12), 5, in_doubt=True) == []
    assert ledger.jobs.claim(replace(by, worker_id="w-2"), 5, in_doubt=True) == []


# -- release -----------------------------------------------------------------------------------------------------------


def test_a_released_job_is_as_it_was(ledger: Ledger) -> None:
    new = job(1, tags={"a": "b"}, timeout=5.0)
    ledger.jobs.submit([new])
    before = ledger.jobs.get(new.id)
    for _ in range(3):
        [claim] = ledger.jobs.claim(claimer(ledger), 5)
        assert (claim.attempt, claim.crashes, claim.snoozes) == (1, 0, 0)
        ledger.jobs.settle(claim, RELEASED)
    after = ledger.jobs.get(new.id)
    assert replace(after, fence=0) == before
    assert after.fence == 3
    assert ledger.jobs.attempts(new.id) == []


def test_a_released_job_keeps_its_place(ledger: Ledger) -> None:
    first, second = submitted(ledger, 1), submitted(ledger, 2)
    [claim] = ledger.jobs.claim(claimer(ledger), 1)
    ledger.jobs.settle(claim, RELEASED)
    third = submitted(ledger, 3)
    found = ledger.jobs.claim(claimer(ledger), 9)
    assert [each.job_id for each in found] == [first, second, third]
    assert found[0].queued_at == claim.queued_at


def test_a_released_job_keeps_what_its_attempts_have_left(ledger: Ledger) -> None:
    first = running(ledger)
    ledger.jobs.settle(first, HAND_BACK)  # it was run, and burned nothing
    ledger.jobs.settle(claimed(ledger, first.job_id), replace(LOSE, error="killed"))
    before = ledger.jobs.get(first.job_id)
    released = claimed(ledger, first.job_id)
    ledger.jobs.settle(released, RELEASED)
    after = ledger.jobs.get(first.job_id)
    assert (after.error_type, after.error, after.crashes, after.attempt) == ("WorkerLost", "killed", 1, 1)
    same = {name: getattr(before, name) for name in ("fence", "started_at", "worker")}
    assert replace(after, **same) == before
    again = claimed(ledger, first.job_id)
    assert (again.attempt, again.first_started_at) == (2, first.first_started_at)


def test_a_job_that_was_handed_back_and_then_released_remembers_its_first_start(ledger: Ledger) -> None:
    first = running(ledger)
    ledger.jobs.settle(first, HAND_BACK)
    ledger.jobs.settle(claimed(ledger, first.job_id), RELEASED)
    assert claimed(ledger, first.job_id).first_started_at == first.first_started_at


def test_releasing_again_or_late_is_no_error_and_does_nothing(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.jobs.settle(claim, RELEASED)
    ledger.jobs.settle(claim, RELEASED)
    fresh = claimed(ledger, claim.job_id)
    ledger.jobs.settle(claim, RELEASED)
    assert ledger.jobs.get(claim.job_id).state == "running"
    ledger.jobs.settle(fresh, SUCCEED)
    ledger.jobs.settle(fresh, RELEASED)
    assert ledger.jobs.get(claim.job_id).state == "succeeded"


# -- many at once ------------------------------------------------------------------------------------------------------


def test_a_slice_is_settled_by_one_call_each_job_by_its_own_outcome(ledger: Ledger) -> None:
    settlements = [SUCCEED, RETRY, SNOOZE, HAND_BACK, LOSE, DIE, CANCEL, RELEASED]
    ledger.jobs.submit([job(n) for n in range(len(settlements))])
    claims = ledger.jobs.claim(claimer(ledger), 100)
    assert ledger.jobs.settle_all(list(zip(claims, settlements, strict=True))).lost == {}
    states = ["succeeded", "retrying", "retrying", "queued", "queued", "dead", "cancelled", "queued"]
    assert [ledger.jobs.get(claim.job_id).state for claim in claims] == states
    outcomes = [[attempt.outcome for attempt in ledger.jobs.attempts(claim.job_id)] for claim in claims]
    assert outcomes == [[s.outcome.value] if s.outcome else [] for s in settlements]
    assert len(ledger.letters.page(LetterFilter())) == 1


def test_a_stale_fence_in_a_slice_holds_up_no_other(ledger: Ledger) -> None:
    ledger.jobs.submit([job(n) for n in range(3)])
    claims = ledger.jobs.claim(claimer(ledger), 100)
    ledger.jobs.settle(claims[1], LOSE)
    taken_over = claimed(ledger, claims[1].job_id, worker="w-2")
    lost = ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).lost
    assert list(lost) == [claims[1].job_id]
    assert "fence 1 is stale" in str(lost[claims[1].job_id])
    assert [ledger.jobs.get(claim.job_id).state for claim in claims] == ["succeeded", "running", "succeeded"]
    assert ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).lost.keys() == lost.keys()
    ledger.jobs.settle(taken_over, SUCCEED)


def test_nothing_is_a_fine_number_of_endings(ledger: Ledger) -> None:
    assert ledger.jobs.settle_all([]) == Settled()


@pytest.mark.parametrize(
    ("settlement", "state", "attempt", "crashes", "snoozes"),
    [
        (SUCCEED, "succeeded", 1, 0, 0),
        (RETRY, "retrying", 1, 0, 0),
        (SNOOZE, "retrying", 0, 0, 1),
        (HAND_BACK, "queued", 0, 0, 0),
        (LOSE, "queued", 1, 1, 0),
        (DIE, "dead", 1, 0, 0),
        (replace(DIE, outcome=Outcome.CRASHED), "dead", 1, 1, 0),
        (CANCEL, "cancelled", 1, 0, 0),
    ],
    ids=lambda value: str(value.outcome) if isinstance(value, Settlement) else "",
)
def test_each_settlement(
    ledger: Ledger, settlement: Settlement, state: str, attempt: int, crashes: int, snoozes: int
) -> None:
    claim = running(ledger)
    letter = ledger.jobs.settle(claim, settlement)
    record = ledger.jobs.get(claim.job_id)
    assert (record.state, record.attempt, record.crashes, record.snoozes) == (state, attempt, crashes, snoozes)
    assert (record.error_type, record.error) == (settlement.error_type, settlement.error)
    assert (record.run_at is not None) == (state in ("retrying", "queued"))
    assert (record.finished_at is not None) == JobState(state).is_final
    assert record.worker_pid is None
    assert record.dead_letter_id == letter
    assert (letter is not None) == (state == "dead")
    [entry] = ledger.jobs.attempts(claim.job_id)
    assert (entry.number, entry.outcome, entry.worker) == (1, settlement.outcome, "w-1")
    assert (entry.error_type, entry.error, entry.traceback) == (
        settlement.error_type,
        settlement.error,
        settlement.traceback,
    )
    assert entry.started_at is not None
    assert entry.finished_at is not None
    assert entry.started_at <= entry.finished_at


def test_a_result_is_kept(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.jobs.settle(claim, SUCCEED)
    assert ledger.jobs.get(claim.job_id).result_json == "7"


@pytest.mark.parametrize("settlement", [SUCCEED, RETRY, SNOOZE, LOSE, DIE, CANCEL], ids=lambda s: s.outcome.value)
def test_settling_again_is_the_first_time(ledger: Ledger, settlement: Settlement) -> None:
    claim = running(ledger)
    letter = ledger.jobs.settle(claim, settlement)
    before = ledger.jobs.get(claim.job_id)
    assert ledger.jobs.settle(claim, settlement) == letter
    assert ledger.jobs.get(claim.job_id) == before
    assert len(ledger.jobs.attempts(claim.job_id)) == 1
    assert len(ledger.letters.page(LetterFilter())) == (1 if letter else 0)


@pytest.mark.parametrize("settlement", [SUCCEED, RETRY, LOSE, DIE, CANCEL], ids=lambda s: s.outcome.value)
def test_a_stale_fence_writes_nothing(ledger: Ledger, settlement: Settlement) -> None:
    stale = running(ledger)
    ledger.jobs.settle(stale, HAND_BACK)
    fresh = claimed(ledger, stale.job_id, worker="w-2")
    assert fresh.fence == stale.fence + 1
    before = ledger.jobs.get(stale.job_id)
    with pytest.raises(LeaseLost, match="fence 1 is stale, the attempt was recorded as handed_back"):
        ledger.jobs.settle(stale, settlement)
    assert ledger.jobs.get(stale.job_id) == before
    assert [entry.outcome for entry in ledger.jobs.attempts(stale.job_id)] == ["handed_back"]
    assert ledger.letters.page(LetterFilter()) == []
    ledger.jobs.settle(fresh, SUCCEED)
    assert ledger.jobs.get(stale.job_id).state == "succeeded"


@pytest.mark.parametrize("settlement", [SUCCEED, RETRY, RELEASED], ids=lambda s: s.transition.value)
def test_a_fence_that_is_given_twice_is_his_who_claimed_last(ledger: Ledger, settlement: Settlement) -> None:
    """As after a failover to a standby that did not have the first claim yet."""
    lost = running(ledger)
    is_as_before = {"state": "queued", "fence": 0, "attempt": 0, "run_at": lost.queued_at, "worker_name": None}
    ledger.transact(lambda c: c.execute(update(jobs).where(jobs.c.id == lost.job_id).values(is_as_before)))
    fresh = claimed(ledger, lost.job_id, worker="w-2")
    assert fresh.fence == lost.fence
    if settlement is RELEASED:
        assert ledger.jobs.settle_all([(lost, settlement)]).states == {}
    else:
        with pytest.raises(LeaseLost, match="fence 1 is stale"):
            ledger.jobs.settle(lost, settlement)
    ledger.jobs.settle(fresh, SUCCEED)
    with pytest.raises(LeaseLost):
        ledger.jobs.settle(lost, SUCCEED)
    assert [entry.worker for entry in ledger.jobs.attempts(lost.job_id)] == ["w-2"]


def test_a_worker_that_was_declared_dead_cannot_settle(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.jobs.settle(claim, LOSE)
    with pytest.raises(LeaseLost, match="recorded as crashed"):
        ledger.jobs.settle(claim, SUCCEED)
    assert ledger.jobs.get(claim.job_id).state == "queued"


def test_of_two_that_settle_at_once_one_wins(ledger: Ledger) -> None:
    claim = running(ledger)

    def attempt(settlement: Settlement) -> str:
        try:
            ledger.jobs.settle(claim, settlement)
        except LeaseLost:
            return "lost"
        return str(settlement.outcome)

    results = at_once([lambda s=s: attempt(s) for s in (SUCCEED, LOSE) * 3])  # type: ignore[misc]
    won = set(results) - {"lost"}
    assert len(won) == 1
    assert [entry.outcome for entry in ledger.jobs.attempts(claim.job_id)] == list(won)


def test_an_unclaimed_job_cannot_be_settled(ledger: Ledger) -> None:
    claim = running(ledger)
    with pytest.raises(LeaseLost):
        ledger.jobs.settle(replace(claim, fence=2), SUCCEED)
    with pytest.raises(LeaseLost):
        ledger.jobs.settle(replace(claim, job_id="no such job"), SUCCEED)


def test_attempts_are_numbered_by_their_fence_and_keep_their_order(ledger: Ledger) -> None:
    claim = running(ledger)
    for settlement in (HAND_BACK, LOSE, LOSE, SUCCEED):
        ledger.jobs.settle(claim, settlement)
        if settlement is not SUCCEED:
            claim = claimed(ledger, claim.job_id)
    entries = ledger.jobs.attempts(claim.job_id)
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.outcome for entry in entries] == ["handed_back", "crashed", "crashed", "succeeded"]
    assert ledger.jobs.get(claim.job_id).attempt == 3


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "x" * 100_000], ids=["nul", "surrogate", "long"])
def test_an_error_of_any_text_can_be_settled(ledger: Ledger, text: str) -> None:
    settlement = replace(DIE, error=text, traceback=text, error_type="shop." + text[:300])
    claim, letter = dead(ledger, settlement=settlement)
    kept = ledger.letters.get(letter)
    assert len(kept.error or "") < 11_000
    assert len(kept.traceback or "") < 51_000
    assert (kept.error or "")[0] == text[0]
    assert ledger.jobs.settle(claim, settlement) == letter


def test_first_started_at_stays_and_a_retry_s_place_is_behind(ledger: Ledger) -> None:
    first = running(ledger)
    ledger.jobs.settle(first, LOSE)
    second = claimed(ledger, first.job_id)
    assert second.first_started_at == first.first_started_at
    assert second.crashes == 1
    ledger.jobs.settle(second, Settlement(Transition.RETRY, Outcome.FAILED, delay=0.0))
    assert claimed(ledger, first.job_id).queued_at > first.queued_at


def test_a_paused_bulkhead_gives_no_claims_and_keeps_its_running_jobs(ledger: Ledger) -> None:
    claim = running(ledger)
    waiting, elsewhere = submitted(ledger), submitted(ledger, bulkhead="critical")
    ledger.bulkheads.pause("normal", "ann", "maintenance")
    assert try_claim(ledger, waiting) is None
    assert try_claim(ledger, elsewhere) is not None
    ledger.jobs.settle(claim, SUCCEED)
    ledger.bulkheads.resume("normal")
    assert try_claim(ledger, waiting) is not None


def test_a_job_that_was_cancelled_between_its_claim_and_its_start_never_starts(ledger: Ledger) -> None:
    claim = running(ledger, 1)
    assert ledger.jobs.cancel(claim.job_id, "not needed") is JobState.RUNNING
    assert ledger.jobs.settle_all([(claim, RELEASED)]).lost == {}
    job = ledger.jobs.get(claim.job_id)
    assert (job.state, job.run_at, job.attempt) == (JobState.CANCELLED, None, 0)
    assert job.finished_at is not None
    assert try_claim(ledger, claim.job_id) is None
