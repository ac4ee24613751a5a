"""What runs: the claims that a worker holds, and what its overseer must know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, literal, select

from perdure.ledger.conditions import state_is
from perdure.ledger.hot import hot
from perdure.ledger.now import now
from perdure.ledger.schema import jobs, workers
from perdure.model.records import Claim
from perdure.model.states import JobState
from perdure.model.worker_health import WorkerState

RUNS = state_is(JobState.RUNNING)

#: In the order of the claim's fields.
CLAIM_COLUMNS = tuple(jobs.c.id if name == "job_id" else jobs.c[name] for name in Claim.__slots__)


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A claim and how it stands, in seconds by the ledger's clock.

    Attributes:
        claim: The claim.
        elapsed: Seconds since it was made.
        cancelled_for: Seconds since the job was asked to stop; None when it was not.
    """

    claim: Claim
    elapsed: float
    cancelled_for: float | None


_OF_WORKER = and_(RUNS, jobs.c.worker_id == bindparam("of_worker"))

_CANCELLING = hot(
    select(jobs.c.id, jobs.c.fence, (now() - jobs.c.cancel_requested_at).label("cancelled_for")).where(
        _OF_WORKER, jobs.c.cancel_requested_at.is_not(None)
    )
)

_RUNNING = hot(
    select(
        *CLAIM_COLUMNS,
        (now() - jobs.c.started_at).label("elapsed"),
        (now() - jobs.c.cancel_requested_at).label("cancelled_for"),
    )
    .where(_OF_WORKER)
    .order_by(jobs.c.started_at)
)

#: What names a worker's child as its runner.
OF_CHILD = hot(select(*CLAIM_COLUMNS).where(_OF_WORKER, jobs.c.worker_pid == bindparam("of_pid")))

# Worker by worker, and no join: that would read all that runs of those that live.
_RUNS_SOMETHING = hot(select(literal(1)).where(RUNS, jobs.c.worker_id == workers.c.id)).limit(1).scalar_subquery() == 1
#: The lease of a worker is over, and jobs of it run.
IS_ORPHANING = (workers.c.state.in_(WorkerState.ended()), _RUNS_SOMETHING)
_ORPHANING = select(workers.c.id).where(*IS_ORPHANING).limit(bindparam("page"))


def orphaning(connection: Connection, page: int) -> list[str]:
    """Return workers whose lease is over and who still have running jobs: claimed while they were declared dead."""
    return list(connection.execute(_ORPHANING, {"page": page}).scalars())


def running_of(connection: Connection, worker_id: str) -> list[RunningJob]:
    """Return what a worker runs, the oldest claim first."""
    rows = connection.execute(_RUNNING, {"of_worker": worker_id})
    return [_running(row) for row in rows]


def running_by_child(connection: Connection, worker_id: str, pid: int) -> list[Claim]:
    """Return the claims that name a worker's child: the slice that it had taken."""
    return [Claim(*row) for row in connection.execute(OF_CHILD, {"of_worker": worker_id, "of_pid": pid})]


def cancelling(connection: Connection, worker_id: str) -> dict[tuple[str, int], float]:
    """Return the jobs of a worker that were asked to stop, by id and fence, and for how many seconds they have been."""
    rows = connection.execute(_CANCELLING, {"of_worker": worker_id})
    return {(row.id, row.fence): row.cancelled_for for row in rows}


def _running(row: Any) -> RunningJob:
    *of_claim, elapsed, cancelled_for = row
    return RunningJob(Claim(*of_claim), elapsed, cancelled_for)
