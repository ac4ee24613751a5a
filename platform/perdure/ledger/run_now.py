"""Running a job now that waits for its time."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from perdure.ledger.conditions import may
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.states import Transition

_RUN_NOW = (
    update(jobs).where(jobs.c.id == bindparam("of_job"), may(Transition.DUE)).values(run_at=now()).returning(jobs.c.id)
)


def run_now(connection: Connection, job_id: str) -> bool:
    """Make a scheduled or retrying job due, so that a dispatcher queues it; return False when it does not wait."""
    return connection.execute(_RUN_NOW, {"of_job": job_id}).one_or_none() is not None
