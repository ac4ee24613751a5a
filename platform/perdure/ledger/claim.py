"""Taking a job: one statement that succeeds for one worker only and gives it the next fence."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, exists, func, null, or_, select, update

from perdure.ledger.conditions import may, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Claim
from perdure.ledger.running import CLAIM_COLUMNS
from perdure.ledger.schema import bulkheads, jobs, workers
from perdure.liveness import WorkerState
from perdure.states import JobState, Transition, target

_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))

#: A job past its deadline is not to be run; a supervisor makes a dead letter of it.
_IN_TIME = or_(jobs.c.deadline.is_(None), jobs.c.deadline > now())

#: A worker that was declared dead, and does not know it yet, takes no more jobs.
_WORKER_ENDED = exists(
    select(workers.c.id).where(workers.c.id == bindparam("by_id"), workers.c.state.in_(WorkerState.ended()))
)

_CLAIM = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), may(Transition.CLAIM), ~_PAUSED, _IN_TIME, ~_WORKER_ENDED)
    .values(
        state=target(Transition.CLAIM).value,
        fence=jobs.c.fence + 1,
        attempt=jobs.c.attempt + 1,
        worker_id=bindparam("by_id"),
        worker_name=bindparam("by_name"),
        worker_pid=bindparam("by_pid"),
        run_at=null(),
        unknown_since=null(),
        started_at=now(),
        first_started_at=func.coalesce(jobs.c.first_started_at, now()),
    )
    .returning(*CLAIM_COLUMNS)
)

#: A child runs one job at a time: a running job that names this child is the claim whose commit was in doubt.
_MINE = select(*CLAIM_COLUMNS).where(
    and_(
        jobs.c.id == bindparam("of_job"),
        state_is(JobState.RUNNING),
        jobs.c.worker_id == bindparam("by_id"),
        jobs.c.worker_pid == bindparam("by_pid"),
    )
)


def claim(connection: Connection, job_id: str, worker_id: str, worker_name: str, pid: int) -> Claim | None:
    """Claim a job for a worker's child and return the claim, or None when there is nothing to claim.

    There is nothing to claim when the job is unknown, not queued (the ticket is late or doubled), its deadline
    has passed, its bulkhead is paused, or the worker has lost its lease.

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
    return None if row is None else Claim(*row)
