"""Taking back the jobs of processes that are gone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from perdure import Perdure
from perdure.admission.holder import holder_of
from perdure.errors import JobCancelled
from perdure.ledger.jobs.claim import in_line
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.jobs.settle import Ending
from perdure.manage.cancelling import OF_CANCELLED
from perdure.model.events import JobEvent
from perdure.model.records import RELEASED, Claim, Settlement
from perdure.model.retry_policy import RetryPolicy
from perdure.model.settlement import Ended, Stop, TimeLimitReached, decide, handed_back, lost, time_limit
from perdure.model.states import Transition
from perdure.model.worker_health import WorkerState
from perdure.system.fork_gate import gate
from perdure_workers.shared.slots import Slot

logger = logging.getLogger("perdure.rescue")


def rescue_child(
    app: Perdure, worker_id: str, pid: int, how: str, slot: Slot | None = None, stopped: Stop | None = None
) -> int:
    """Take back what a pool child held that is gone.

    Args:
        app: The application.
        worker_id: The incarnation whose child it was.
        pid: The child's process id.
        how: How it ended, in words.
        slot: What it was doing.
        stopped: Why its worker killed it: then the end is the job's own and no crash.

    Returns:
        How many jobs were taken back; 0 when the child held none.
    """
    claims = app.ledger.running.of_child(worker_id, pid)
    guilty = begun(claims, slot)
    return _take_back(
        app,
        [
            (claim, _after_child(app, claim, f"process {pid} {how}", stopped) if claim is guilty else RELEASED)
            for claim in claims
        ],
    )


def rescue_worker(app: Perdure, worker_id: str, why: str) -> int:
    """Take back all jobs of a worker that is gone and return how many there were."""
    by_child: dict[int, list[Claim]] = {}
    for job in app.ledger.running.of_worker(worker_id):
        by_child.setdefault(job.claim.worker_pid, []).append(job.claim)
    endings = []
    for claims in by_child.values():
        guilty = begun(claims, None)
        endings += [(c, lost(c, app.settings.max_crashes, why) if c is guilty else RELEASED) for c in claims]
    return _take_back(app, endings)


def begun(claims: Sequence[Claim], slot: Slot | None) -> Claim | None:
    """Return which of a dead child's claims is the job whose function had begun; that one counts a crash.

    Where the child did not say it is taken to be the first that it would run. A job that counts a crash is run alone from
    then on, so that one which is not to blame is cleared the next time.
    """
    if slot is not None and slot.job_id:
        return next((claim for claim in claims if (claim.job_id, claim.fence) == (slot.job_id, slot.fence)), None)
    return next(iter(as_run(claims)), None)


def as_run(claims: Sequence[Claim]) -> list[Claim]:
    """Return a child's claims in the order in which it runs them.

    It runs in line what it chose at once. Of the plain lane it may have claimed one job behind another (see
    :meth:`Choice.claim_ahead`), which comes after it whatever its place in line.
    """
    if all(claim.is_plain for claim in claims):
        return sorted(claims, key=lambda claim: (claim.started_at, in_line(claim)))
    return sorted(claims, key=in_line)


def release_behind(app: Perdure, worker_id: str, slot: Slot) -> int:
    """Give back what a child has claimed behind the job that it runs, and return how many jobs it was.

    A child does that by itself when a job takes long, unless none of its threads can run: it is stopped, or the job holds
    Python's lock. Once it goes on it begins none of them, as the time of its slice is over.
    """
    claims = as_run(app.ledger.running.of_child(worker_id, slot.pid))
    behind = [place for place, claim in enumerate(claims, 1) if (claim.job_id, claim.fence) == (slot.job_id, slot.fence)]
    return _take_back(app, [(claim, RELEASED) for claim in claims[behind[0] :]] if behind else [])


def hand_back(app: Perdure, worker_id: str, why: str, slot_of: Callable[[int], Slot | None]) -> int:
    """Queue again what a draining worker has not finished, with no attempt burned, and return how many jobs it was."""
    running = [job.claim for job in app.ledger.running.of_worker(worker_id)]
    doing = {slot.job_id for claim in running if (slot := slot_of(claim.worker_pid)) is not None}
    return _take_back(
        app, [(claim, _cut_short(app, claim, why) if claim.job_id in doing else RELEASED) for claim in running]
    )


def _cut_short(app: Perdure, claim: Claim, why: str) -> Settlement:
    times = app.ledger.running.begun_anew(claim)
    settlement = handed_back(claim, times, app.settings.max_hand_backs, why)
    if times:  # before it can be claimed again, and counted the next time
        app.ledger.jobs.note(claim.job_id, NoteKind.HANDED_BACK, settlement.error or why)
    return settlement


def rescue_claim(app: Perdure, claim: Claim, why: str) -> bool:
    """Take back one job that nobody runs; return False when it had been settled after all."""
    return _take_back(app, [(claim, lost(claim, app.settings.max_crashes, why))]) == 1


def declare_failed(app: Perdure, worker_id: str, why: str) -> bool:
    """End a worker's lease and take its jobs back.

    Returns:
        Whether this call ended the lease; its jobs are taken back in any case, since whoever did may have died before.
    """
    event = app.ledger.workers.change_state(worker_id, WorkerState.FAILED, why)
    rescued = rescue_worker(app, worker_id, why)
    if event is None:
        return False
    logger.warning("%s; %d jobs taken back", why, rescued)
    app.workers.emit(event)
    return True


def _after_child(app: Perdure, claim: Claim, why: str, stopped: Stop | None) -> Settlement:
    task = app.tasks.get(claim.task)
    if stopped is Stop.CANCELLED:
        return decide(
            _ended(JobCancelled(f"{why}: it was cancelled and did not stop by itself")), claim, RetryPolicy.named("none")
        )
    if stopped is Stop.TIMEOUT and task is not None:
        limit = time_limit(claim, task.timeout) or 0.0
        error = TimeLimitReached(f"{why}: it ran longer than its timeout of {limit:g} s and did not stop by itself")
        return decide(_ended(error, limit), claim, task.retry)
    return lost(claim, app.settings.max_crashes, why)


def _ended(error: BaseException, ran: float = 0.0) -> Ended:
    return Ended(error=error, ran=ran)


def _take_back(app: Perdure, endings: Sequence[Ending]) -> int:
    """Settle claims of a process that is gone and wake who may take the jobs; return how many were taken back."""
    if not endings:
        return 0
    for claim, settlement in endings:
        _free(app, claim, has_begun=settlement is not RELEASED)
    # Of the others another supervisor was first, or they ended after all.
    taken = app.ledger.jobs.settle_all(endings).written(endings)
    for claim, settlement in taken:
        if settlement is not RELEASED:
            _tell(app, claim, settlement)
    for bulkhead, count in Counter(claim.bulkhead for claim, _ in taken).items():
        app.bells.ring(bulkhead, count)
    return len(taken)


def _free(app: Perdure, claim: Claim, *, has_begun: bool) -> None:
    """Give back the permits that a job's process held, before the job can be claimed again."""
    if claim.limit_key is not None:
        with gate:
            app.limits.free(claim)
    if has_begun:
        with gate:
            app.breakers.free(holder_of(claim))


def _tell(app: Perdure, claim: Claim, settlement: Settlement) -> None:
    logger.warning("%s %s taken back: %s", claim.task, claim.job_id, settlement.error or "it was cancelled")
    app.flower_events.send(JobEvent.settled(claim, settlement), settlement.traceback)
    if settlement.transition is Transition.CANCEL:
        app.jobs.cancel_replicas(claim.job_id, OF_CANCELLED)
