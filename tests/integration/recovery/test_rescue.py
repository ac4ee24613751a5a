"""What a dead process held is taken back: the job that it ran counts a crash, and its neighbours lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure import Perdure
from perdure.ledger.jobs.claim import Claimer
from perdure.ledger.running.steps import StepRecord
from perdure.model.records import Claim
from perdure.model.settlement import Stop
from perdure_workers.recovery.rescue import hand_back, rescue_child, rescue_worker
from perdure_workers.shared.slots import Slot, Slots
from support.ledgers import claimed
from support.waiting import wait_until

PID = 4711


@pytest.fixture
def slice_of(app: Perdure, register: Callable[..., str]) -> Callable[[int], tuple[str, list[Claim]]]:
    """Submits so many jobs and claims them all for one child."""

    def make(count: int) -> tuple[str, list[Claim]]:
        worker_id = register()
        app.task("work").submit_many([()] * count)
        return worker_id, app.ledger.jobs.claim(Claimer("normal", worker_id, "w", PID, ("work",)), count)

    return make


SliceOf = Callable[[int], tuple[str, list[Claim]]]


def running(claim: Claim) -> Slot:
    slots = Slots()
    slots.take(0, PID)
    slots.begin(claim.job_id, claim.fence, claim.task, None)
    slot = slots.of(PID)
    assert slot is not None
    return slot


def crashes(app: Perdure, claims: list[Claim]) -> list[tuple[str, int, int]]:
    records = [app.ledger.jobs.get(claim.job_id) for claim in claims]
    return [(str(record.state), record.attempt, record.crashes) for record in records]


UNTOUCHED, CRASHED = ("queued", 0, 0), ("queued", 1, 1)


def test_only_the_job_that_ran_counts_a_crash(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, claims = slice_of(3)
    assert rescue_child(app, worker_id, PID, "was killed", running(claims[1])) == 3
    assert crashes(app, claims) == [UNTOUCHED, CRASHED, UNTOUCHED]
    assert [len(app.ledger.jobs.attempts(claim.job_id)) for claim in claims] == [0, 1, 0]
    assert rescue_child(app, worker_id, PID, "was killed", running(claims[1])) == 0


def test_a_child_that_had_settled_its_job_leaves_nobody_to_blame(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, claims = slice_of(2)
    elsewhere = running(claims[0])
    assert rescue_child(app, worker_id, PID, "was killed", Slot(PID, True, "settled", "work", 1, 0.0, None)) == 2
    assert crashes(app, claims) == [UNTOUCHED, UNTOUCHED]
    assert elsewhere.job_id == claims[0].job_id


def test_where_nobody_said_it_the_first_in_line_counts_the_crash(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, claims = slice_of(3)
    assert rescue_worker(app, worker_id, "the host is gone") == 3
    assert crashes(app, claims) == [CRASHED, UNTOUCHED, UNTOUCHED]


def test_what_was_claimed_behind_it_counts_none_however_urgent_it_is(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, [runs] = slice_of(1)
    claimed_by = app.ledger.clock()
    wait_until(lambda: app.ledger.clock() > claimed_by)  # which on SQLite has milliseconds
    app.task("work").options(priority=0).submit()
    [urgent] = app.ledger.jobs.claim(Claimer("normal", worker_id, "w", PID, ("work",)), 1)
    assert rescue_worker(app, worker_id, "the host is gone") == 2
    assert crashes(app, [runs, urgent]) == [CRASHED, UNTOUCHED]


def test_each_child_of_a_lost_worker_has_its_own_first_in_line(app: Perdure, register: Callable[..., str]) -> None:
    worker_id = register()
    claims = []
    for pid in (1, 2):
        app.task("work").submit_many([()] * 2)
        claims += app.ledger.jobs.claim(Claimer("normal", worker_id, "w", pid, ("work",)), 2)
    assert rescue_worker(app, worker_id, "the host is gone") == 4
    assert crashes(app, claims) == [CRASHED, UNTOUCHED] * 2


def test_a_poison_pill_dies_alone(app: Perdure, slice_of: SliceOf, register: Callable[..., str]) -> None:
    worker_id, claims = slice_of(3)
    pill = claims[1]
    for _ in range(app.settings.max_crashes):
        rescue_child(app, worker_id, PID, "was killed", running(pill))
        again = app.ledger.jobs.claim(Claimer("normal", worker_id, "w", PID, ("work",)), 3)
        pill = next((claim for claim in again if claim.job_id == pill.job_id), pill)
    assert app.ledger.jobs.get(pill.job_id).state == "dead"
    [letter] = app.dead_letters.list()
    assert (letter.job_id, letter.reason) == (pill.job_id, "crashed")
    assert [app.ledger.jobs.get(claim.job_id).crashes for claim in claims] == [0, app.settings.max_crashes, 0]


@pytest.mark.parametrize(("stopped", "outcome"), [(Stop.CANCELLED, "cancelled"), (Stop.TIMEOUT, "timeout")])
def test_a_job_that_was_ended_by_force_has_its_own_outcome(
    app: Perdure, slice_of: SliceOf, stopped: Stop, outcome: str
) -> None:
    worker_id, claims = slice_of(2)
    rescue_child(app, worker_id, PID, "was killed", running(claims[0]), stopped)
    [attempt] = app.ledger.jobs.attempts(claims[0].job_id)
    assert attempt.outcome == outcome
    assert app.ledger.jobs.get(claims[0].job_id).crashes == 0
    assert crashes(app, claims[1:]) == [UNTOUCHED]


def test_a_draining_worker_hands_back_what_ran_and_releases_the_rest(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, claims = slice_of(3)
    slot = running(claims[0])
    assert hand_back(app, worker_id, "stopped", lambda pid: slot if pid == PID else None) == 3
    assert crashes(app, claims) == [UNTOUCHED] * 3
    outcomes = [[attempt.outcome for attempt in app.ledger.jobs.attempts(claim.job_id)] for claim in claims]
    assert outcomes == [["handed_back"], [], []]


def cut_short(app: Perdure, worker_id: str, claim: Claim) -> str:
    """Hand a job back that runs; return its state then."""
    slot = running(claim)
    hand_back(app, worker_id, "stopped", lambda pid: slot if pid == PID else None)
    return app.ledger.jobs.get(claim.job_id).state


def test_a_job_that_begins_anew_after_each_drain_is_given_up_in_the_end(
    app: Perdure, register: Callable[..., str], claim: Callable[..., Claim]
) -> None:
    worker_id, most = register(), app.settings.max_hand_backs
    first = claim(worker_id)
    states = [cut_short(app, worker_id, first)]
    states += [
        cut_short(app, worker_id, claimed(app.ledger, first.job_id, worker=worker_id, pid=PID)) for _ in range(most - 1)
    ]
    assert states == ["queued"] * (most - 1) + ["dead"]
    notes = app.ledger.jobs.notes_of(first.job_id)
    assert {note.kind for note in notes} == {"handed_back"}
    assert f"1 of at most {most} times" in notes[0].text
    [letter] = app.dead_letters.list()
    assert (letter.reason, letter.error_type) == ("handed_back", "HandedBack")
    assert {attempt.outcome for attempt in app.ledger.jobs.attempts(first.job_id)} == {"handed_back"}


@pytest.mark.parametrize("kept", ["checkpoint", "step"])
def test_a_job_that_has_kept_some_of_its_work_may_be_handed_back_for_ever(
    app: Perdure, register: Callable[..., str], claim: Callable[..., Claim], kept: str
) -> None:
    worker_id = register()
    job_id = claim(worker_id).job_id
    for number in range(1, app.settings.max_hand_backs + 2):
        held = app.ledger.running.of_worker(worker_id)[0].claim
        if kept == "checkpoint":
            app.ledger.running.advance_checkpoint(job_id, held.fence)
        else:
            app.ledger.running.record_step(job_id, held.fence, StepRecord(number, f"step {number}", "1", 1))
        assert cut_short(app, worker_id, held) == "queued"
        claimed(app.ledger, job_id, worker=worker_id, pid=PID)
    assert app.ledger.jobs.notes_of(job_id) == []


def test_a_job_keeps_its_place_when_its_worker_is_lost(app: Perdure, slice_of: SliceOf) -> None:
    worker_id, claims = slice_of(2)
    later = app.task("work").submit()
    rescue_worker(app, worker_id, "the host is gone")
    found = app.ledger.jobs.claim(Claimer("normal", worker_id, "w", PID, ("work",)), 9)
    assert [claim.job_id for claim in found] == [*(claim.job_id for claim in claims), later.id]
