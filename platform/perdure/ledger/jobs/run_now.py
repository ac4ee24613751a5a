"""Running a job now that waits for its time."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from perdure.ledger.conditions import may
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.states import Transition, target

_BRING_FORWARD = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.DUE), jobs.c.run_at > now())
    .values(run_at=now(), queued_at=now(), state=target(Transition.DUE).value)
    .returning(jobs.c.bulkhead)
)


def bring_forward(connection: Connection, job_id: str) -> str | None:
    """Make a scheduled or retrying job due; return its bulkhead, or None when it does not wait for a time."""
    bulkhead: str | None = connection.execute(_BRING_FORWARD, {"of_job": job_id}).scalar_one_or_none()
    return bulkhead
