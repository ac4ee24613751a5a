"""Taking a job: one statement that succeeds for one worker only and gives it the next fence."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, exists, func, null, select, update

from perdure.ledger.conditions import may, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Claim
from perdure.ledger.schema import bulkheads, jobs
from perdure.states import JobState, Transition, target

_COLUMNS = (
    jobs.c.id.label("job_id"),
    *(jobs.c[name] for name in Claim.__slots__ if name != "job_id"),
)

_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))

_CLAIM = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.CLAIM), ~_PAUSED)
    .values(
        state=target(Transition.CLAIM).value,
        fence=jobs.c.fence + 1,
        attempt=jobs.c.attempt + 1,
        worker_id=bindparam("by_id"),
        worker_name=bindparam("by_name"),
        worker_pid=bindparam("by_pid"),
        run_at=null(),
        started_at=now(),
        first_started_at=func.coalesce(jobs.c.first_started_at, now()),
    )
    .returning(*_COLUMNS)
)

#: A child runs one job at a time: a running job that names this child is the claim whose commit was in doubt.
_MINE = select(*_COLUMNS).where(
    and_(
        jobs.c.id == bindparam("of_job"),
        state_is(JobState.RUNNING),
        jobs.c.worker_id == bindparam("by_id"),
        jobs.c.worker_pid == bindparam("by_pid"),
    )
)


def claim(connection: Connection, job_id: str, worker_id: str, worker_name: str, pid: int) -> Claim | None:
    """Claim a job for a worker's child and return the claim, or None when there is nothing to claim.

    There is nothing to claim when the job is unknown, not queued (the ticket is late or doubled) or its bulkhead is paused.

    Args:
        connection: Where to do it; may commit by itself.
        job_id: The job that a ticket names.
        worker_id: The worker's incarnation.
        worker_name: The worker's name, for people.
        pid: The child's process id.
    """
    who = {"of_job": job_id, "by_id": worker_id, "by_pid": pid}
    row = connection.execute(_CLAIM, {**who, "by_name": worker_name}).one_or_none()
    if row is None:
        row = connection.execute(_MINE, who).one_or_none()
    return None if row is None else Claim(**row._mapping)
