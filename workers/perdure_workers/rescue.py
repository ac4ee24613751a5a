"""Taking back the jobs of processes that are gone."""

from __future__ import annotations

import logging
import time

from perdure import Perdure
from perdure.decision import Ended, TimeLimitReached, decide, lost
from perdure.errors import LeaseLost
from perdure.events import JobEvent
from perdure.ledger.records import Claim, Settlement
from perdure.states import JobState, target

logger = logging.getLogger("perdure.rescue")


def rescue_child(app: Perdure, worker_id: str, pid: int, how: str, hard_limit: float | None = None) -> bool:
    """Take back the job of a pool child that is gone.

    Args:
        app: The application.
        worker_id: The incarnation whose child it was.
        pid: The child's process id.
        how: How it ended, in words.
        hard_limit: The hard time limit in seconds, when that is what killed it: then it is the job's failure.

    Returns:
        False when the child held no job.
    """
    claim = app.ledger.running_by_child(worker_id, pid)
    if claim is None:
        return False
    if hard_limit is not None and claim.task in app.tasks:
        error = TimeLimitReached(f"killed after its hard time limit of {hard_limit:g} s")
        return _take_back(app, claim, decide(Ended(error=error), claim, app.tasks[claim.task].retry, time.time()))
    return _take_back(app, claim, lost(claim, app.settings.max_crashes, f"process {pid} {how}"))


def rescue_worker(app: Perdure, worker_id: str, why: str) -> int:
    """Take back all jobs of a worker that is gone and return how many there were."""
    claims = app.ledger.running_of(worker_id)
    return sum(_take_back(app, claim, lost(claim, app.settings.max_crashes, why)) for claim in claims)


def _take_back(app: Perdure, claim: Claim, settlement: Settlement) -> bool:
    try:
        app.ledger.settle(claim, settlement)
    except LeaseLost:
        return False  # another supervisor was first, or the job ended after all
    why = settlement.error or ""
    logger.warning("%s %s taken back: %s", claim.task, claim.job_id, why)
    names = (claim.job_id, claim.task, claim.bulkhead)
    after = target(settlement.transition)
    app.events.emit(JobEvent(*names, settlement.transition, JobState.RUNNING, after, claim.attempt, why))
    return True
