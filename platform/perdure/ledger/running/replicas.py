"""The replicas of a job: jobs of their own, each on another worker, whose answers settle the job that wanted them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.ledger.jobs import read
from perdure.ledger.jobs.states import state_is
from perdure.model.records import JobRecord
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_OF = {
    dialect: f"SELECT {read.RECORD[dialect]} FROM perdure_jobs WHERE replica_of = :of_job ORDER BY id"
    for dialect in DIALECTS
}
_WAKE = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET run_at = {NOW[dialect]}
    WHERE id = :of_job AND {state_is(JobState.RETRYING)} AND run_at > {NOW[dialect]}
    """
    for dialect in DIALECTS
}


def replicas_of(connection: Where, job_id: str) -> list[JobRecord]:
    """Return a job's replicas, in the order of their making."""
    return [read.record(row) for row in direct.rows(connection, _OF[connection.dialect.name], {"of_job": job_id})]


def wake(connection: Where, job_id: str) -> None:
    """Have a job that waits look at its replicas now."""
    direct.run(connection, _WAKE[connection.dialect.name], {"of_job": job_id})
