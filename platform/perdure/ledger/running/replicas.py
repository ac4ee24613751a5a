"""The replicas of a job: jobs of their own, each on another worker, whose answers settle the job that wanted them."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, update

from perdure.ledger.conditions import seen_state, state_is
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.records import JobRecord
from perdure.model.states import JobState

_OF = select(jobs, seen_state()).where(jobs.c.replica_of == bindparam("of_job")).order_by(jobs.c.id)
_WAKE = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"), state_is(JobState.RETRYING, by_index=False), jobs.c.run_at > now())
    .values(run_at=now())
)


def replicas_of(connection: Connection, job_id: str) -> list[JobRecord]:
    """Return a job's replicas, in the order of their making."""
    return [JobRecord.of(row._mapping) for row in connection.execute(_OF, {"of_job": job_id})]


def wake(connection: Connection, job_id: str) -> None:
    """Have a job that waits look at its replicas now."""
    connection.execute(_WAKE, {"of_job": job_id})
