"""What runs: the claims that a worker holds, and what its overseer must know of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.model.records import Claim
from perdure.model.states import JobState
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

RUNS = f"state = '{JobState.RUNNING}'"

#: In the order of the claim's fields.
CLAIM_COLUMNS = tuple("id" if name == "job_id" else name for name in Claim.__struct_fields__)


class RunningJob(Struct, frozen=True):
    """A claim and how it stands, in seconds by the ledger's clock.

    Attributes:
        claim: The claim.
        elapsed: Seconds since it was made.
        cancelled_for: Seconds since the job was asked to stop; None when it was not.
    """

    claim: Claim
    elapsed: float
    cancelled_for: float | None


_CLAIM = ", ".join(CLAIM_COLUMNS)
_OF_WORKER = f"{RUNS} AND worker_id = :of_worker"
_CANCELLED_FOR = {dialect: f"{NOW[dialect]} - cancel_requested_at" for dialect in DIALECTS}

_CANCELLING = {
    dialect: f"""
    SELECT id, fence, {_CANCELLED_FOR[dialect]} FROM {HOT[dialect]}
    WHERE {_OF_WORKER} AND cancel_requested_at IS NOT NULL
    """
    for dialect in DIALECTS
}
_RUNNING = {
    dialect: f"""
    SELECT {_CLAIM}, {NOW[dialect]} - started_at, {_CANCELLED_FOR[dialect]} FROM {HOT[dialect]}
    WHERE {_OF_WORKER} ORDER BY started_at
    """
    for dialect in DIALECTS
}
_OF_CHILD = {
    dialect: f"SELECT {_CLAIM} FROM {HOT[dialect]} WHERE {_OF_WORKER} AND worker_pid = :of_pid" for dialect in DIALECTS
}

_ENDED = ", ".join(f"'{state}'" for state in WorkerState.ended())


def _is_orphaning(dialect: str) -> str:
    # Worker by worker, and no join: that would read all that runs of those that live.
    runs_something = f"(SELECT 1 FROM {HOT[dialect]} WHERE {RUNS} AND worker_id = perdure_workers.id LIMIT 1) = 1"
    return f"perdure_workers.state IN ({_ENDED}) AND {runs_something}"


#: The lease of a worker is over, and jobs of it run.
IS_ORPHANING = {dialect: _is_orphaning(dialect) for dialect in DIALECTS}
_ORPHANING = {dialect: f"SELECT id FROM perdure_workers WHERE {IS_ORPHANING[dialect]} LIMIT :page" for dialect in DIALECTS}


def orphaning(connection: Where, page: int) -> list[str]:
    """Return workers whose lease is over and who still have running jobs: claimed while they were declared dead."""
    return [worker_id for (worker_id,) in direct.rows(connection, _ORPHANING[connection.dialect.name], {"page": page})]


def running_of(connection: Where, worker_id: str) -> list[RunningJob]:
    """Return what a worker runs, the oldest claim first."""
    rows = direct.rows(connection, _RUNNING[connection.dialect.name], {"of_worker": worker_id})
    return [_running(row) for row in rows]


def running_by_child(connection: Where, worker_id: str, pid: int) -> list[Claim]:
    """Return the claims that name a worker's child: the slice that it had taken."""
    of_child = {"of_worker": worker_id, "of_pid": pid}
    return [Claim(*row) for row in direct.rows(connection, _OF_CHILD[connection.dialect.name], of_child)]


def cancelling(connection: Where, worker_id: str) -> dict[tuple[str, int], float]:
    """Return the jobs of a worker that were asked to stop, by id and fence, and for how many seconds they have been."""
    rows = direct.rows(connection, _CANCELLING[connection.dialect.name], {"of_worker": worker_id})
    return {(job_id, fence): seconds for job_id, fence, seconds in rows}


def _running(row: Sequence[Any]) -> RunningJob:
    *of_claim, elapsed, cancelled_for = row
    return RunningJob(Claim(*of_claim), elapsed, cancelled_for)
