"""Jobs that die before they run: too late, or of a task that nobody knows."""

from __future__ import annotations

from perdure.ledger import Ledger
from perdure.model.dead_letter import LetterFilter
from support.ledgers import RETRY, SUCCEED, claimed, job, running, submitted

TTL = 3600.0


def buried(ledger: Ledger, ttl: float) -> list[str]:
    return [event.job_id for event in ledger.jobs.bury_unknown(ttl, 100)]


def test_jobs_past_their_deadline_become_dead_letters_once_and_others_stay(ledger: Ledger) -> None:
    late = [submitted(ledger, n, deadline=1.0) for n in range(3)]
    due_late = submitted(ledger, delay=60.0, deadline=1.0)
    fine, plain, runs = submitted(ledger, deadline=4e9), submitted(ledger), running(ledger, deadline=4e9)
    assert len(ledger.jobs.bury_expired(2)) == 2
    assert {*(event.job_id for event in ledger.jobs.bury_expired(9))} < {*late, due_late}
    assert ledger.jobs.bury_expired(9) == []
    assert {ledger.jobs.get(job_id).state for job_id in (*late, due_late)} == {"dead"}
    assert [ledger.jobs.get(job_id).state for job_id in (fine, plain, runs.job_id)] == ["queued", "queued", "running"]
    letters = ledger.letters.page(LetterFilter())
    assert {(letter.reason, letter.error_type) for letter in letters} == {("expired", "DeadlinePassed")}
    assert {letter.job_id for letter in letters} == {*late, due_late}
    assert ledger.jobs.lanes("normal")[0].waits == 0.0


def test_tasks_that_a_worker_does_not_know_are_noted_once(ledger: Ledger) -> None:
    ledger.jobs.submit([job(task="known"), job(task="new"), job(task="new", breaker="b"), job(task="new", delay=60.0)])
    submitted(ledger, task="new", bulkhead="critical")
    assert ledger.jobs.note_unknown("normal", {"known"}, 100) == 2
    assert ledger.jobs.note_unknown("normal", {"known"}, 100) == 0
    assert buried(ledger, TTL) == []
    assert len(buried(ledger, 0.0)) == 2
    assert ledger.jobs.count("state") == {"dead": 2, "queued": 2, "scheduled": 1}
    assert {letter.reason for letter in ledger.letters.page(LetterFilter())} == {"unknown_task"}


def test_what_a_worker_of_a_newer_release_knows_is_not_unknown(ledger: Ledger) -> None:
    """Both releases serve the bulkhead for the time of a deploy, and there is more than the newer one can run at once."""
    new = submitted(ledger, task="new")
    ledger.jobs.note_unknown("normal", {"known"}, 100)
    ledger.jobs.note_unknown("normal", {"known", "new"}, 100)
    assert buried(ledger, 0.0) == []
    assert ledger.jobs.get(new).state == "queued"


def test_a_job_that_was_claimed_is_not_unknown(ledger: Ledger) -> None:
    new = submitted(ledger, task="new")
    ledger.jobs.note_unknown("normal", set(), 100)
    claim = claimed(ledger, new)
    assert buried(ledger, 0.0) == []
    ledger.jobs.settle(claim, RETRY)
    assert buried(ledger, 0.0) == []
    ledger.jobs.bring_forward(new)
    ledger.jobs.settle(claimed(ledger, new), SUCCEED)
    assert ledger.jobs.get(new).state == "succeeded"


def test_a_look_goes_as_far_as_it_is_told(ledger: Ledger) -> None:
    ledger.jobs.submit([job(task="new") for _ in range(5)])
    assert ledger.jobs.note_unknown("normal", set(), 3) == 3
