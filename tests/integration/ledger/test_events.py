"""Each transition of a job yields one event, whoever caused it, and none before it is committed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from perdure.errors import LeaseLost
from perdure.ledger import Ledger
from perdure.model.events import JobEvent
from perdure.model.records import RELEASED, Settlement
from perdure.model.states import WAITING_STATES, JobState, Outcome, Transition, target
from support.ledgers import DIE, LOSE, RETRY, SUCCEED, claimed, claimer, job, running, submitted

SNOOZE = Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=9.0, error="later", ran=0.5)
HAND_BACK = Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False)
CANCEL = Settlement(Transition.CANCEL, Outcome.CANCELLED)
ENDS = [SUCCEED, RETRY, SNOOZE, RELEASED, HAND_BACK, LOSE, DIE, CANCEL]
WAITING = [end for end in ENDS if target(end.transition) in WAITING_STATES]


@pytest.fixture
def heard(ledger: Ledger) -> Iterator[list[JobEvent]]:
    """What the ledger tells from now on."""
    events: list[JobEvent] = []
    end = ledger.events.subscribe(events.append)
    yield events
    end()


def moves(events: list[JobEvent], job_id: str) -> list[tuple[Transition | None, JobState | None, JobState]]:
    return [(event.transition, event.source, event.target) for event in events if event.job_id == job_id]


def path_of(ledger: Ledger, transition: Transition) -> str:
    """Bring a job through a transition and return it."""
    if transition is Transition.DUE:
        job_id = submitted(ledger, delay=60.0)
        assert ledger.jobs.bring_forward(job_id) == "normal"
        return job_id
    claim = running(ledger)
    if transition is Transition.RESTORE:
        ledger.jobs.settle(claim, CANCEL)
        assert ledger.jobs.restore(claim.job_id, "by mistake") == "normal"
    elif transition is not Transition.CLAIM:
        [end] = [end for end in ENDS if end.transition is transition]
        ledger.jobs.settle(claim, end)
    return claim.job_id


@pytest.mark.parametrize("transition", list(Transition))
def test_every_transition_is_told_once(ledger: Ledger, heard: list[JobEvent], transition: Transition) -> None:
    job_id = path_of(ledger, transition)
    told = moves(heard, job_id)
    assert [each for each in told if each[0] is transition] == told[-1:]
    assert told[-1][2] is target(transition)
    assert ledger.jobs.get(job_id).state == target(transition)


def test_an_event_says_what_there_is_to_say(ledger: Ledger, heard: list[JobEvent]) -> None:
    claim = running(ledger, worker="w-7")
    claim_event = next(event for event in heard if event.transition is Transition.CLAIM)
    assert (claim_event.task, claim_event.bulkhead, claim_event.attempt) == ("tests.add", "normal", 1)
    assert (claim_event.worker, claim_event.waited) == ("w-7", claim.started_at - claim.queued_at)
    ledger.jobs.settle(claim, replace(RETRY, ran=1.5, delay=0.0))
    event = heard[-1]
    assert (event.outcome, event.error_type, event.reason) == ("failed", "ValueError", "no")
    assert (event.ran, event.delay, event.death) == (1.5, 0.0, None)
    ledger.jobs.settle(claimed(ledger, claim.job_id), DIE)
    assert (heard[-1].death, heard[-1].attempt, heard[-1].worker) == ("exhausted", 2, "w-1")


def test_what_never_ran_is_told_of_too(ledger: Ledger, heard: list[JobEvent]) -> None:
    late, cancelled = submitted(ledger, deadline=1.0), submitted(ledger, delay=60.0)
    assert {event.job_id for event in ledger.jobs.bury_expired(100)} >= {late}
    ledger.jobs.cancel(cancelled, "not wanted")
    assert moves(heard, late) == [(Transition.DIE, JobState.QUEUED, JobState.DEAD)]
    assert moves(heard, cancelled) == [(Transition.CANCEL, JobState.SCHEDULED, JobState.CANCELLED)]
    death = next(event for event in heard if event.job_id == late)
    assert (death.death, death.error_type, death.worker) == ("expired", "DeadlinePassed", None)
    assert heard[-1].reason == "not wanted"


def test_what_is_refused_or_only_asked_for_is_no_transition(ledger: Ledger, heard: list[JobEvent]) -> None:
    claim = running(ledger)
    ledger.jobs.cancel(claim.job_id, "stop")
    assert ledger.jobs.bring_forward(claim.job_id) is None
    with pytest.raises(LeaseLost):
        ledger.jobs.settle(replace(claim, fence=claim.fence + 1), SUCCEED)
    assert ledger.jobs.settle_all([(replace(claim, fence=claim.fence + 1), RELEASED)]).states == {}
    assert moves(heard, claim.job_id) == [(Transition.CLAIM, JobState.QUEUED, JobState.RUNNING)]


def test_a_slice_is_told_of_job_by_job(ledger: Ledger, heard: list[JobEvent]) -> None:
    ledger.jobs.submit([job(n) for n in range(3)])
    claims = ledger.jobs.claim(claimer(ledger), 3)
    heard.clear()
    ledger.jobs.settle_all(list(zip(claims, (SUCCEED, RELEASED, DIE), strict=True)))
    assert [(event.job_id, event.target) for event in heard] == [
        (claim.job_id, state) for claim, state in zip(claims, ("succeeded", "queued", "dead"), strict=True)
    ]


@pytest.mark.parametrize("end", WAITING, ids=lambda end: end.transition)
def test_who_is_cancelled_while_running_does_not_wait_again(ledger: Ledger, heard: list[JobEvent], end: Settlement) -> None:
    claim = running(ledger)
    ledger.jobs.cancel(claim.job_id, "not wanted")
    settled = ledger.jobs.settle_all([(claim, end)])
    [(_, as_written)] = settled.written([(claim, end)])
    assert (as_written.transition, as_written.outcome, as_written.delay) == (Transition.CANCEL, end.outcome, None)
    assert moves(heard, claim.job_id)[-1] == (Transition.CANCEL, JobState.RUNNING, JobState.CANCELLED)
    record = ledger.jobs.get(claim.job_id)
    assert (record.state, record.run_at, record.error) == ("cancelled", None, end.error)
    assert record.finished_at is not None
    assert [attempt.outcome for attempt in ledger.jobs.attempts(claim.job_id)] == ([end.outcome] if end.outcome else [])
    repeated = ledger.jobs.settle_all([(claim, end)])  # as after a commit that was in doubt
    assert repeated.lost == {}
    assert [one.transition for _, one in repeated.written([(claim, end)])] == ([Transition.CANCEL] if end.outcome else [])


@pytest.mark.parametrize("end", [SUCCEED, DIE], ids=lambda end: end.transition)
def test_who_has_ended_by_itself_is_not_cancelled(ledger: Ledger, end: Settlement) -> None:
    claim = running(ledger)
    ledger.jobs.cancel(claim.job_id, "not wanted")
    ledger.jobs.settle(claim, end)
    assert ledger.jobs.get(claim.job_id).state == target(end.transition)
