"""Undoing a cancel: a cancelled job waits again, with what it had kept. It is the same row."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, null, update

from perdure.ledger.conditions import may
from perdure.ledger.jobs import before
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.events import JobEvent
from perdure.model.states import Transition, target

_RESTORE = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.RESTORE, by_index=False))
    .values(
        state=target(Transition.RESTORE).value,
        run_at=now(),
        queued_at=now(),
        finished_at=null(),
        cancel_requested_at=null(),
        cancel_reason=null(),
        error_type=null(),
        error=null(),
        unknown_since=null(),
    )
)


def restore(connection: Connection, job_id: str, reason: str) -> JobEvent | None:
    """Have a cancelled job wait again; return the event, or None when it is not cancelled."""
    job = before.locked(connection, job_id, Transition.RESTORE)
    if job is None:
        return None
    connection.execute(_RESTORE, {"of_job": job_id})
    return JobEvent.of_waiting(job, Transition.RESTORE, reason)
