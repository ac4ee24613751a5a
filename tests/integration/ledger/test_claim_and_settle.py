"""A claim is won once and gives a fence; what a stale fence writes has no effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.errors import LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.letter_records import LetterFilter
from perdure.ledger.records import Settlement
from perdure.states import JobState, Outcome, Transition
from support.ledgers import DIE, LOSE, RETRY, SUCCEED, at_once, claimed, dead, running, submitted

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
    record = ledger.job(job_id)
    assert (record.state, record.worker, record.worker_pid, record.fence) == ("running", "w-7", 77, 1)


def test_only_one_of_many_claimers_wins(ledger: Ledger) -> None:
    ids = [submitted(ledger, n) for n in range(4)]
    for job_id in ids:
        claims = at_once([lambda n=n, job_id=job_id: ledger.claim(job_id, f"w-{n}", f"w-{n}", n) for n in range(8)])  # type: ignore[misc]
        assert sum(claim is not None for claim in claims) == 1
        assert ledger.job(job_id).fence == 1


def test_there_is_nothing_to_claim_of_a_job_that_is_not_queued(ledger: Ledger) -> None:
    claim = running(ledger)
    done, gone, cancelled = running(ledger), dead(ledger)[0], submitted(ledger)
    ledger.settle(done, SUCCEED)
    ledger.cancel(cancelled, "no")
    later = submitted(ledger, delay=60.0)
    for job_id in (claim.job_id, done.job_id, gone.job_id, cancelled, later, "no such job"):
        assert ledger.claim(job_id, "w-2", "w-2", 2) is None


def test_a_claim_whose_commit_was_in_doubt_is_found_again_by_the_same_child_only(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = ledger.claim(job_id, "w-1", "w-1", 11)
    assert ledger.claim(job_id, "w-1", "w-1", 11) == claim
    assert ledger.claim(job_id, "w-1", "w-1", 12) is None
    assert ledger.claim(job_id, "w-2", "w-2", 11) is None


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
    ids=lambda value: value.outcome.value if isinstance(value, Settlement) else "",
)
def test_each_settlement(
    ledger: Ledger, settlement: Settlement, state: str, attempt: int, crashes: int, snoozes: int
) -> None:
    claim = running(ledger)
    letter = ledger.settle(claim, settlement)
    record = ledger.job(claim.job_id)
    assert (record.state, record.attempt, record.crashes, record.snoozes) == (state, attempt, crashes, snoozes)
    assert (record.error_type, record.error) == (settlement.error_type, settlement.error)
    assert (record.run_at is not None) == (state == "retrying")
    assert (record.finished_at is not None) == JobState(state).is_final
    assert record.worker_pid is None
    assert record.dead_letter_id == letter
    assert (letter is not None) == (state == "dead")
    [entry] = ledger.attempts(claim.job_id)
    assert (entry.number, entry.outcome, entry.worker) == (1, settlement.outcome.value, "w-1")
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
    ledger.settle(claim, SUCCEED)
    assert ledger.job(claim.job_id).result_json == "7"


@pytest.mark.parametrize("settlement", [SUCCEED, RETRY, SNOOZE, LOSE, DIE, CANCEL], ids=lambda s: s.outcome.value)
def test_settling_again_is_the_first_time(ledger: Ledger, settlement: Settlement) -> None:
    claim = running(ledger)
    letter = ledger.settle(claim, settlement)
    before = ledger.job(claim.job_id)
    assert ledger.settle(claim, settlement) == letter
    assert ledger.job(claim.job_id) == before
    assert len(ledger.attempts(claim.job_id)) == 1
    assert len(ledger.letters.page(LetterFilter())) == (1 if letter else 0)


@pytest.mark.parametrize("settlement", [SUCCEED, RETRY, LOSE, DIE, CANCEL], ids=lambda s: s.outcome.value)
def test_a_stale_fence_writes_nothing(ledger: Ledger, settlement: Settlement) -> None:
    stale = running(ledger)
    ledger.settle(stale, HAND_BACK)
    fresh = claimed(ledger, stale.job_id, worker="w-2")
    assert fresh.fence == stale.fence + 1
    before = ledger.job(stale.job_id)
    with pytest.raises(LeaseLost, match="fence 1 is stale, the attempt was recorded as handed_back"):
        ledger.settle(stale, settlement)
    assert ledger.job(stale.job_id) == before
    assert [entry.outcome for entry in ledger.attempts(stale.job_id)] == ["handed_back"]
    assert ledger.letters.page(LetterFilter()) == []
    ledger.settle(fresh, SUCCEED)
    assert ledger.job(stale.job_id).state == "succeeded"


def test_a_worker_that_was_declared_dead_cannot_settle(ledger: Ledger) -> None:
    claim = running(ledger)
    ledger.settle(claim, LOSE)
    with pytest.raises(LeaseLost, match="recorded as crashed"):
        ledger.settle(claim, SUCCEED)
    assert ledger.job(claim.job_id).state == "queued"


def test_of_two_that_settle_at_once_one_wins(ledger: Ledger) -> None:
    claim = running(ledger)

    def attempt(settlement: Settlement) -> str:
        try:
            ledger.settle(claim, settlement)
        except LeaseLost:
            return "lost"
        return settlement.outcome.value

    results = at_once([lambda s=s: attempt(s) for s in (SUCCEED, LOSE) * 3])  # type: ignore[misc]
    won = set(results) - {"lost"}
    assert len(won) == 1
    assert [entry.outcome for entry in ledger.attempts(claim.job_id)] == list(won)


def test_an_unclaimed_job_cannot_be_settled(ledger: Ledger) -> None:
    claim = running(ledger)
    with pytest.raises(LeaseLost):
        ledger.settle(replace(claim, fence=2), SUCCEED)
    with pytest.raises(LeaseLost):
        ledger.settle(replace(claim, job_id="no such job"), SUCCEED)


def test_attempts_are_numbered_by_their_fence_and_keep_their_order(ledger: Ledger) -> None:
    claim = running(ledger)
    for settlement in (HAND_BACK, LOSE, LOSE, SUCCEED):
        ledger.settle(claim, settlement)
        if settlement is not SUCCEED:
            claim = claimed(ledger, claim.job_id)
    entries = ledger.attempts(claim.job_id)
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.outcome for entry in entries] == ["handed_back", "crashed", "crashed", "succeeded"]
    assert ledger.job(claim.job_id).attempt == 3


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "x" * 100_000], ids=["nul", "surrogate", "long"])
def test_an_error_of_any_text_can_be_settled(ledger: Ledger, text: str) -> None:
    settlement = replace(DIE, error=text, traceback=text, error_type="shop." + text[:300])
    claim, letter = dead(ledger, settlement=settlement)
    kept = ledger.dead_letter(letter)
    assert len(kept.error or "") < 11_000
    assert len(kept.traceback or "") < 51_000
    assert (kept.error or "")[0] == text[0]
    assert ledger.settle(claim, settlement) == letter


def test_first_started_at_stays_and_queued_at_moves(ledger: Ledger) -> None:
    first = running(ledger)
    ledger.settle(first, LOSE)
    second = claimed(ledger, first.job_id)
    assert second.first_started_at == first.first_started_at
    assert second.queued_at > first.queued_at
    assert second.crashes == 1


def test_a_paused_bulkhead_gives_no_claims_and_keeps_its_running_jobs(ledger: Ledger) -> None:
    claim = running(ledger)
    waiting, elsewhere = submitted(ledger), submitted(ledger, bulkhead="critical")
    ledger.pause("normal", "ann", "maintenance")
    assert ledger.claim(waiting, "w", "w", 1) is None
    assert ledger.claim(elsewhere, "w", "w", 1) is not None
    ledger.settle(claim, SUCCEED)
    ledger.resume("normal")
    assert ledger.claim(waiting, "w", "w", 1) is not None
