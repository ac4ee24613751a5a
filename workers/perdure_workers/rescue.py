"""Taking back the jobs of processes that are gone."""

from __future__ import annotations

import logging
from dataclasses import replace

from perdure import Perdure
from perdure.announce import announce, retry_text
from perdure.decision import Ended, Stop, TimeLimitReached, decide, lost, time_limit
from perdure.errors import JobCancelled, LeaseLost
from perdure.events import JobEvent
from perdure.fork_gate import gate
from perdure.ledger.records import Claim, Settlement
from perdure.liveness import WorkerState
from perdure.retry import RetryPolicy
from perdure.states import JobState, Outcome, Transition, target

logger = logging.getLogger("perdure.rescue")

#: Tickets of a dead worker's bulkhead that are sent again at once: it may have taken some along. A doubled one is harmless.
TICKETS_RESENT = 50


def rescue_child(app: Perdure, worker_id: str, pid: int, how: str, stopped: Stop | None = None) -> int:
    """Take back the job of a pool child that is gone.

    Args:
        app: The application.
        worker_id: The incarnation whose child it was.
        pid: The child's process id.
        how: How it ended, in words.
        stopped: Why its worker killed it: then the end is the job's own and no crash.

    Returns:
        How many jobs were taken back; 0 when the child held none.
    """
    claims = app.ledger.running_by_child(worker_id, pid)
    return sum(_take_back(app, claim, _after_child(app, claim, f"process {pid} {how}", stopped)) for claim in claims)


def rescue_worker(app: Perdure, worker_id: str, why: str) -> int:
    """Take back all jobs of a worker that is gone and return how many there were."""
    running = app.ledger.running_of(worker_id)
    return sum(_take_back(app, job.claim, lost(job.claim, app.settings.max_crashes, why)) for job in running)


def hand_back(app: Perdure, worker_id: str, why: str) -> int:
    """Queue again what a draining worker has not finished, with no attempt burned, and return how many jobs it was."""
    settlement = Settlement(Transition.HAND_BACK, Outcome.HANDED_BACK, burns=False, error=why)
    return sum(_take_back(app, job.claim, settlement) for job in app.ledger.running_of(worker_id))


def rescue_claim(app: Perdure, claim: Claim, why: str) -> bool:
    """Take back one job that nobody runs; return False when it had been settled after all."""
    return _take_back(app, claim, lost(claim, app.settings.max_crashes, why))


def declare_failed(app: Perdure, worker_id: str, why: str) -> bool:
    """End a worker's lease, take its jobs back and send again the tickets that it may have taken along.

    Returns:
        Whether this call ended the lease; its jobs are taken back in any case, since whoever did may have died before.
    """
    event = app.ledger.change_worker_state(worker_id, WorkerState.FAILED, why)
    rescued = rescue_worker(app, worker_id, why)
    if event is None:
        return False
    app.submitter.send_tickets(app.ledger.reticket_head(event.bulkhead, TICKETS_RESENT))
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


def _take_back(app: Perdure, claim: Claim, settlement: Settlement) -> bool:
    if claim.limit_key is not None:
        with gate.use():
            app.limits.free(claim)  # before the job can be claimed again
    try:
        app.ledger.settle(claim, settlement)
    except LeaseLost:
        return False  # another supervisor was first, or the job ended after all
    why = settlement.error or ""
    logger.warning("%s %s taken back: %s", claim.task, claim.job_id, why)
    names = (claim.job_id, claim.task, claim.bulkhead)
    after = target(settlement.transition)
    event = JobEvent(*names, settlement.transition, JobState.RUNNING, after, claim.attempt, why)
    app.events.emit(event)
    announce(app, replace(event, reason=_shown(settlement)), claim.worker_name, settlement.traceback)
    return True


def _shown(settlement: Settlement) -> str:
    text = f"{settlement.error_type}: {settlement.error}" if settlement.error_type else settlement.error or ""
    if settlement.transition in (Transition.DIE, Transition.CANCEL):
        return text
    return retry_text(text, settlement.delay)
