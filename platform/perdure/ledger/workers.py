"""Worker incarnations: one row each, renewed by heartbeats. A row is the lease of every job that its worker runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from perdure.clock import to_datetime
from perdure.ledger.conditions import state_is
from perdure.ledger.now import now
from perdure.ledger.records import Claim, WorkerRecord
from perdure.ledger.schema import jobs, workers
from perdure.states import JobState

HEALTHY, SUSPECT, FAILED, GONE = "healthy", "suspect", "failed", "gone"
LIVE = (HEALTHY, SUSPECT)

_CLAIM_COLUMNS = (
    jobs.c.id.label("job_id"),
    *(jobs.c[name] for name in Claim.__slots__ if name != "job_id"),
)

_BEAT = (
    update(workers)
    .where(workers.c.id == bindparam("of_worker"), workers.c.state.in_(LIVE))
    .values(heartbeat_at=now(), state=HEALTHY)
)

_OVERDUE = (
    select(workers)
    .where(workers.c.state.in_(LIVE), workers.c.heartbeat_at < now() - workers.c.lease_ttl)
    .order_by(workers.c.heartbeat_at)
    .limit(bindparam("page"))
    .with_for_update(skip_locked=True)
)

_RUNNING_OF = (
    select(*_CLAIM_COLUMNS)
    .where(state_is(JobState.RUNNING), jobs.c.worker_id == bindparam("of_worker"))
    .with_for_update(skip_locked=True)
)


def register(connection: Connection, worker: dict[str, Any]) -> None:
    """Write a new incarnation's row."""
    fresh = {"state": HEALTHY, "draining": False, "started_at": now(), "heartbeat_at": now(), "state_changed_at": now()}
    connection.execute(workers.insert().values(**worker, **fresh))


def beat(connection: Connection, worker_id: str) -> bool:
    """Renew a lease; return False when it is lost: the worker was declared failed."""
    return connection.execute(_BEAT, {"of_worker": worker_id}).rowcount == 1


def set_draining(connection: Connection, worker_id: str) -> None:
    """Note that a worker takes no more jobs."""
    connection.execute(update(workers).where(workers.c.id == worker_id).values(draining=True))


def end(connection: Connection, worker_id: str, state: str, reason: str) -> bool:
    """Move a live worker to ``failed`` or ``gone``; return False when it was neither healthy nor suspect."""
    live = (workers.c.id == worker_id) & workers.c.state.in_(LIVE)
    values = {"state": state, "state_reason": reason, "state_changed_at": now()}
    return connection.execute(update(workers).where(live).values(**values)).rowcount == 1


def overdue(connection: Connection, page: int) -> list[tuple[str, str]]:
    """Return (id, name) of live workers whose lease has run out, locked against other supervisors."""
    return [(row.id, row.name) for row in connection.execute(_OVERDUE, {"page": page})]


def running_of(connection: Connection, worker_id: str) -> list[Claim]:
    """Return the claims that a worker holds, locked against other supervisors."""
    return [Claim(**row._mapping) for row in connection.execute(_RUNNING_OF, {"of_worker": worker_id})]


def running_by_child(connection: Connection, worker_id: str, pid: int) -> Claim | None:
    """Return the claim that a worker's child holds; a child runs one job at a time."""
    query = _RUNNING_OF.where(jobs.c.worker_pid == pid)
    row = connection.execute(query, {"of_worker": worker_id}).one_or_none()
    return None if row is None else Claim(**row._mapping)


def live_in(connection: Connection, bulkhead: str) -> bool:
    """Return whether a bulkhead has a live worker."""
    query = select(workers.c.id).where(workers.c.bulkhead == bulkhead, workers.c.state.in_(LIVE)).limit(1)
    return connection.execute(query).first() is not None


def listing(connection: Connection, *, all_states: bool = False) -> list[WorkerRecord]:
    """Return the live workers, or all that the ledger remembers, by name."""
    running = (
        select(func.count())
        .select_from(jobs)
        .where(state_is(JobState.RUNNING), jobs.c.worker_id == workers.c.id)
        .scalar_subquery()
    )
    query = select(workers, (now() - workers.c.heartbeat_at).label("age"), running.label("running"))
    if not all_states:
        query = query.where(workers.c.state.in_(LIVE))
    return [_record(row) for row in connection.execute(query.order_by(workers.c.name, workers.c.started_at))]


def _record(row: Any) -> WorkerRecord:
    same = ("id", "name", "bulkhead", "host", "pid", "concurrency", "state", "draining", "running")
    return WorkerRecord(
        **{name: getattr(row, name) for name in same},
        started_at=to_datetime(row.started_at),
        heartbeat_at=to_datetime(row.heartbeat_at),
        heartbeat_age=row.age,
    )
