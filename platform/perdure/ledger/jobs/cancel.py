"""Cancelling: at once for a job that waits; for a running one a request that it meets at its next checkpoint."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, case, func, literal_column, null, update

from perdure.ledger import counts
from perdure.ledger.conditions import may, state_is
from perdure.ledger.jobs import before
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.events import JobEvent
from perdure.model.states import JobState, Transition, target
from perdure.model.text.storable import MAX_REASON, storable

_RUNNING = state_is(JobState.RUNNING)

_CANCEL = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.CANCEL))
    .values(
        state=case((_RUNNING, jobs.c.state), else_=target(Transition.CANCEL).value),
        cancel_requested_at=func.coalesce(jobs.c.cancel_requested_at, now()),
        cancel_reason=bindparam("why"),
        run_at=case((_RUNNING, jobs.c.run_at), else_=null()),
        finished_at=case((_RUNNING, literal_column("NULL")), else_=now()),
    )
    .returning(jobs.c.state)
)


def cancel(connection: Connection, job_id: str, reason: str) -> tuple[JobState | None, JobEvent | None]:
    """Cancel a job, or ask it to stop when it runs.

    Returns:
        Its state, or None when it had ended before; and the event, when it is cancelled by this call.
    """
    job = before.locked(connection, job_id, Transition.CANCEL)
    if job is None:
        return None, None
    state = JobState(connection.execute(_CANCEL, {"of_job": job_id, "why": storable(reason, MAX_REASON)}).scalar_one())
    if state is not JobState.CANCELLED:
        return state, None
    counts.add(connection, [counts.cancelled(job.task, job.bulkhead)])
    return state, JobEvent.of_waiting(job, Transition.CANCEL, reason)
