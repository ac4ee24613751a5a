"""What happens to a job while it runs: checkpoints, progress, cancelling; and who runs it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict

from perdure.errors import CommitWasInDoubt, LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.running import checkpoints
from perdure.ledger.running.steps import StepRecord
from perdure.model.ids import new_id
from perdure.model.states import JobState
from support.ledgers import LOSE, SUCCEED, claimed, claimer, dead, running, submitted, try_claim
from support.waiting import wait_until


def versions(ledger: Ledger, job_id: str, name: str = "main") -> list[tuple[int, int, bytes]]:
    return [(one.seq, one.fence, one.data) for one in ledger.running.load_checkpoint(job_id, name)]


def test_the_newest_two_versions_of_a_checkpoint_are_kept(ledger: Ledger) -> None:
    claim = running(ledger)
    assert versions(ledger, claim.job_id) == []
    seq = 0
    for number in range(1, 5):
        seq, standing = ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"%d" % number, seq)
        assert (seq, standing.cancel_requested) == (number, False)
    assert versions(ledger, claim.job_id) == [(4, 1, b"4"), (3, 1, b"3")]
    record = ledger.jobs.get(claim.job_id)
    assert record.checkpoint_seq == 4
    assert record.checkpointed_at is not None


def test_names_are_apart_and_each_keeps_its_own_two(ledger: Ledger) -> None:
    claim = running(ledger)
    main, _ = ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"m1", 0)
    for number in range(3):
        ledger.running.save_checkpoint(claim.job_id, claim.fence, "other", b"o%d" % number, number + 1 if number else 0)
    ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"m2", main)
    assert [data for _, _, data in versions(ledger, claim.job_id)] == [b"m2", b"m1"]
    assert [data for _, _, data in versions(ledger, claim.job_id, "other")] == [b"o2", b"o1"]


def test_a_stale_fence_saves_nothing_and_the_next_claim_goes_on(ledger: Ledger) -> None:
    stale = running(ledger)
    ledger.running.save_checkpoint(stale.job_id, stale.fence, "main", b"good", 0)
    ledger.jobs.settle(stale, LOSE)
    for fence in (stale.fence, stale.fence + 1):
        with pytest.raises(LeaseLost, match="is stale; the checkpoint was not written"):
            ledger.running.save_checkpoint(stale.job_id, fence, "main", b"bad", 1)
    fresh = claimed(ledger, stale.job_id, worker="w-2")
    assert fresh.checkpoint_seq == 1
    with pytest.raises(LeaseLost):
        ledger.running.save_checkpoint(stale.job_id, stale.fence, "main", b"bad", 1)
    assert versions(ledger, stale.job_id) == [(1, 1, b"good")]
    assert ledger.running.save_checkpoint(fresh.job_id, fresh.fence, "main", b"next", 1)[0] == 2
    assert versions(ledger, stale.job_id) == [(2, 2, b"next"), (1, 1, b"good")]


def test_a_number_that_is_not_the_expected_one_is_that_of_a_commit_that_was_in_doubt(ledger: Ledger) -> None:
    claim = running(ledger)
    of_claim = claim.job_id, claim.fence
    assert ledger.hot(lambda c: checkpoints.advance(c, *of_claim, expected=0))[0] == 1
    with pytest.raises(CommitWasInDoubt):
        ledger.hot(lambda c: checkpoints.advance(c, *of_claim, expected=0))
    assert ledger.jobs.get(claim.job_id).checkpoint_seq == 1
    with pytest.raises(LeaseLost):
        ledger.hot(lambda c: checkpoints.advance(c, claim.job_id, claim.fence + 1, expected=1))


def test_what_an_earlier_attempt_has_kept_is_none_of_this_one_s_work(ledger: Ledger) -> None:
    first = running(ledger)
    ledger.running.record_step(first.job_id, first.fence, StepRecord(1, "a", "1", 1))
    ledger.running.advance_checkpoint(first.job_id, first.fence)
    assert ledger.running.begun_anew(first) == 0
    ledger.jobs.settle(first, LOSE)
    assert ledger.running.begun_anew(claimed(ledger, first.job_id, worker="w-2")) == 1


def test_any_bytes_are_kept(ledger: Ledger) -> None:
    claim = running(ledger)
    data = bytes(range(256)) * 1000
    ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", data, 0)
    assert versions(ledger, claim.job_id) == [(1, 1, data)]


def test_progress_is_written_with_the_right_fence_only(ledger: Ledger) -> None:
    claim = running(ledger)
    assert ledger.jobs.get(claim.job_id).progress is None
    ledger.running.report_progress(claim.job_id, claim.fence, 3, 12, "files\x00")
    progress = ledger.jobs.get(claim.job_id).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.message, progress.fraction) == (3, 12, "files\\x00", 0.25)
    ledger.running.report_progress(claim.job_id, claim.fence, 5, None, "")
    progress = ledger.jobs.get(claim.job_id).progress
    assert progress is not None
    assert progress.fraction is None
    with pytest.raises(LeaseLost):
        ledger.running.report_progress(claim.job_id, claim.fence + 1, 4, 12, "")


@pytest.mark.parametrize("options", [{}, {"delay": 60.0}])
def test_a_waiting_job_is_cancelled_at_once(ledger: Ledger, options: dict[str, Any]) -> None:
    job_id = submitted(ledger, **options)
    assert ledger.jobs.cancel(job_id, "no more \x00") is JobState.CANCELLED
    record = ledger.jobs.get(job_id)
    assert (record.state, record.run_at) == ("cancelled", None)
    assert record.finished_at is not None
    assert ledger.jobs.cancel(job_id, "again") is None
    assert try_claim(ledger, job_id) is None


def test_a_running_job_is_asked_to_stop(ledger: Ledger) -> None:
    claim = running(ledger)
    assert not ledger.running.standing(claim.job_id, claim.fence).cancel_requested
    assert ledger.jobs.cancel(claim.job_id, "stop") is JobState.RUNNING
    record = ledger.jobs.get(claim.job_id)
    assert record.state == "running"
    assert record.cancel_requested_at is not None
    assert record.finished_at is None
    assert ledger.running.standing(claim.job_id, claim.fence).cancel_requested
    assert ledger.running.report_progress(claim.job_id, claim.fence, 1, 2, "").cancel_requested
    assert ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"x", 0)[1].cancel_requested
    assert ledger.jobs.cancel(claim.job_id, "stop now") is JobState.RUNNING
    assert ledger.jobs.get(claim.job_id).cancel_requested_at == record.cancel_requested_at
    ledger.jobs.settle(claim, SUCCEED)  # it ended before it met the request: its work was done
    assert ledger.jobs.get(claim.job_id).state == "succeeded"


def test_what_has_ended_cannot_be_cancelled(ledger: Ledger) -> None:
    claim, _ = dead(ledger)
    assert ledger.jobs.cancel(claim.job_id, "no") is None
    assert ledger.jobs.cancel("no such job", "no") is None
    assert ledger.jobs.get(claim.job_id).state == "dead"


def worker(name: str, **changes: Any) -> dict[str, Any]:
    plain = {"bulkhead": "normal", "host": "h", "pid": 7, "concurrency": 2, "lease_ttl": 60.0, "lock_path": None}
    return {"id": new_id(), "name": name, **plain, **changes}


def test_a_worker_lives_as_long_as_it_beats(ledger: Ledger) -> None:
    mine = worker("w-1")
    ledger.workers.register(mine)
    [record] = ledger.workers.listing()
    assert {name: value for name, value in asdict(record).items() if name in mine} == {
        name: value for name, value in mine.items() if name not in ("lease_ttl", "lock_path")
    }
    assert (record.state, record.draining, record.running) == ("healthy", False, 0)
    assert record.heartbeat_age < 60
    before = record.heartbeat_at
    assert wait_until(lambda: ledger.workers.beat(mine["id"]) and ledger.workers.listing()[0].heartbeat_at != before)
    ledger.workers.set_draining(mine["id"])
    assert ledger.workers.listing()[0].draining


def test_an_ended_worker_stays_ended(ledger: Ledger) -> None:
    mine = worker("w-1")
    ledger.workers.register(mine)
    assert ledger.workers.change_state(mine["id"], "failed", "missed heartbeats")
    assert not ledger.workers.change_state(mine["id"], "gone", "again")
    assert not ledger.workers.beat(mine["id"])
    assert ledger.workers.listing() == []
    [record] = ledger.workers.listing(all_states=True)
    assert record.state == "failed"
    assert not ledger.workers.beat("nobody")


def test_only_live_workers_whose_lease_has_run_out_are_overdue(ledger: Ledger) -> None:
    late, fresh, gone = worker("late", lease_ttl=-1.0), worker("fresh"), worker("gone", lease_ttl=-1.0)
    for one in (late, fresh, gone):
        ledger.workers.register(one)
    ledger.workers.change_state(gone["id"], "gone", "left")
    assert [(silent.id, silent.name) for silent in ledger.workers.silent(10)] == [(late["id"], "late")]


def test_who_runs_what(ledger: Ledger) -> None:
    first, second = worker("w-1"), worker("w-2")
    for one in (first, second):
        ledger.workers.register(one)
    claims = [claimed(ledger, submitted(ledger, n), worker=first["id"], pid=100 + n) for n in range(3)]
    claimed(ledger, submitted(ledger, 9), worker=second["id"], pid=100)
    running = [job.claim for job in ledger.running.of_worker(first["id"])]
    assert sorted(running, key=lambda claim: claim.job_id) == claims
    assert ledger.running.of_child(first["id"], 101) == [claims[1]]
    assert ledger.running.of_child(first["id"], 999) == []
    assert {record.name: record.running for record in ledger.workers.listing()} == {"w-1": 3, "w-2": 1}
    for claim in claims:
        ledger.jobs.settle(claim, SUCCEED)
    assert ledger.running.of_worker(first["id"]) == []


def test_pausing_and_counting_bulkheads(ledger: Ledger) -> None:
    assert ledger.bulkheads.counts() == {}
    for n in range(3):
        submitted(ledger, n)
    running(ledger)
    submitted(ledger, delay=60.0)
    ledger.bulkheads.pause("normal", "ann", "maintenance")
    ledger.bulkheads.pause("normal", "bob", "longer")
    ledger.bulkheads.pause("critical", "ann", "")
    counts = ledger.bulkheads.counts()
    normal = counts["normal"]
    assert (normal.queued, normal.running, normal.waiting) == (3, 1, 1)
    assert normal.oldest_wait is not None
    assert -1 < normal.oldest_wait < 60
    assert (normal.paused, normal.paused_by, normal.reason) == (True, "bob", "longer")
    assert (counts["critical"].paused, counts["critical"].queued, counts["critical"].oldest_wait) == (True, 0, None)
    ledger.bulkheads.resume("normal")
    ledger.bulkheads.resume("background")
    assert not ledger.bulkheads.counts()["normal"].paused
    assert len(ledger.jobs.claim(claimer(ledger), 10)) == 3
