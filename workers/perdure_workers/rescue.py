"""Taking back the jobs of processes that are gone."""

from __future__ import annotations

import logging

from perdure import Perdure
from perdure.decision import lost
from perdure.errors import LeaseLost
from perdure.events import JobEvent
from perdure.ledger.records import Claim
from perdure.states import JobState, Outcome, target

logger = logging.getLogger("perdure.rescue")


def rescue_child(
    app: Perdure, worker_id: str, job_id: str, pid: int | None, why: str, outcome: Outcome = Outcome.CRASHED
) -> bool:
    """Take back the job of a pool child that is gone.

    Args:
        app: The application.
        worker_id: The incarnation whose child it was.
        job_id: What the child ran.
        pid: The child's process id; None when it is not known.
        why: What is known of its end.
        outcome: ``crashed``, or ``timeout`` when its hard time limit killed it.

    Returns:
        False when the child did not hold the job.
    """
    claim = app.ledger.running_by_child(worker_id, job_id, pid)
    return claim is not None and _take_back(app, claim, why, outcome)


def rescue_worker(app: Perdure, worker_id: str, why: str) -> int:
    """Take back all jobs of a worker that is gone and return how many there were."""
    return sum(_take_back(app, claim, why, Outcome.CRASHED) for claim in app.ledger.running_of(worker_id))


def _take_back(app: Perdure, claim: Claim, why: str, outcome: Outcome) -> bool:
    settlement = lost(claim, app.settings.max_crashes, why, outcome)
    try:
        app.ledger.settle(claim, settlement)
    except LeaseLost:
        return False  # another supervisor was first, or the job ended after all
    logger.warning("%s %s taken back: %s", claim.task, claim.job_id, why)
    names = (claim.job_id, claim.task, claim.bulkhead)
    event = JobEvent(*names, settlement.transition, JobState.RUNNING, target(settlement.transition), claim.attempt, why)
    app.events.emit(event)
    return True
