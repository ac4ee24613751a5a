"""Running a job now that waits for its time."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from perdure.ledger.conditions import may
from perdure.ledger.jobs import before
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.events import JobEvent
from perdure.model.states import Transition, target

_BRING_FORWARD = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.DUE), jobs.c.run_at > now())
    .values(run_at=now(), queued_at=now(), state=target(Transition.DUE).value)
)


def bring_forward(connection: Connection, job_id: str) -> JobEvent | None:
    """Make a scheduled or retrying job due; return the event, or None when it does not wait for a time."""
    job = before.locked(connection, job_id, Transition.DUE)
    if job is None or not connection.execute(_BRING_FORWARD, {"of_job": job_id}).rowcount:
        return None
    return JobEvent.of_waiting(job, Transition.DUE)
