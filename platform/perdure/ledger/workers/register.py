"""Worker incarnations: one row each, renewed by heartbeats. A row is the lease of every job that its worker runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from perdure.ledger import counts
from perdure.ledger.now import now
from perdure.ledger.running.claims import RUNS
from perdure.ledger.schema import jobs, workers
from perdure.ledger.workers.events import last_state_of, record
from perdure.ledger.workers.verdicts import UNFIT, votes_lost
from perdure.model.clock import to_datetime
from perdure.model.metrics import WORKER_FAILURES, Count
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import WorkerEvent, WorkerState

HEALTHY, SUSPECT, FAILED, GONE = (state.value for state in WorkerState)
LIVE = (HEALTHY, SUSPECT)

_BEAT = (
    update(workers)
    .where(workers.c.id == bindparam("of_worker"), workers.c.state.in_(LIVE))
    .values(heartbeat_at=now())
    .returning(workers.c.state)
)

#: Age of a worker's last heartbeat, in seconds.
SILENCE = (now() - workers.c.heartbeat_at).label("silence")

LOCK_PATH = workers.c.lock_path
IS_NEIGHBOUR = (workers.c.state.in_(LIVE), workers.c.host == bindparam("on_host"), LOCK_PATH.is_not(None))
_NEIGHBOURS = select(workers.c.id, workers.c.name, LOCK_PATH).where(*IS_NEIGHBOUR)

_LOCKED = select(workers, SILENCE).where(workers.c.id == bindparam("of_worker")).with_for_update()
_FRESH = {"state": HEALTHY, "draining": False, "started_at": now(), "heartbeat_at": now(), "state_changed_at": now()}
_INSERT = workers.insert().values(_FRESH)
_CHANGE = (
    update(workers)
    .where(workers.c.id == bindparam("of_worker"))
    .values(state=bindparam("target"), state_reason=bindparam("reason"), state_changed_at=now())
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A live worker of one host, and the file that its main process keeps locked for its life."""

    id: str
    name: str
    lock_path: str


def register(connection: Connection, worker: dict[str, Any]) -> WorkerEvent | None:
    """Write a new incarnation's row and return the event; None when it is a repeat after an unknown commit."""
    if connection.execute(_LOCKED, {"of_worker": worker["id"]}).first() is not None:
        return None
    before = last_state_of(connection, worker["name"])
    connection.execute(_INSERT, worker)
    back = before == FAILED
    reason = "a new incarnation of a worker that had failed" if back else "started"
    names = (worker["id"], worker["name"], worker["bulkhead"])
    return record(connection, *names, source=FAILED if back else None, target=HEALTHY, reason=reason, silence=None)


def beat(connection: Connection, worker_id: str) -> str | None:
    """Renew a lease and return the worker's state; None when the lease is lost: the worker was declared failed."""
    state: str | None = connection.execute(_BEAT, {"of_worker": worker_id}).scalar_one_or_none()
    return state


def set_draining(connection: Connection, worker_id: str) -> None:
    """Note that a worker takes no more jobs."""
    connection.execute(update(workers).where(workers.c.id == worker_id).values(draining=True))


def change_state(connection: Connection, worker_id: str, target: str, reason: str) -> WorkerEvent | None:
    """Move a live worker to another state; return the event, or None when it is not live or is in that state.

    Args:
        connection: A connection in a transaction.
        worker_id: The incarnation.
        target: The state to be in.
        reason: Why, in words.
    """
    row = connection.execute(_LOCKED, {"of_worker": worker_id}).one_or_none()
    if row is None or row.state not in LIVE or row.state == target:
        return None
    connection.execute(_CHANGE, {"of_worker": worker_id, "target": target, "reason": reason})
    if target == FAILED:
        counts.add(connection, [Count(WORKER_FAILURES.name, (row.bulkhead,), 1)])
    names = (row.id, row.name, row.bulkhead)
    return record(connection, *names, source=row.state, target=target, reason=reason, silence=row.silence)


def neighbours(connection: Connection, host: str) -> list[Neighbour]:
    """Return the live workers of a host that keep a file locked."""
    return [Neighbour(**row._mapping) for row in connection.execute(_NEIGHBOURS, {"on_host": host})]


def listing(connection: Connection, *, all_states: bool = False) -> list[WorkerRecord]:
    """Return the live workers, or all that the ledger remembers, by name."""
    running = select(func.count()).select_from(jobs).where(RUNS, jobs.c.worker_id == workers.c.id).scalar_subquery()
    query = select(
        workers,
        SILENCE,
        running.label("running"),
        votes_lost(workers.c.name).label("outvoted"),
        UNFIT.label("unfit"),
    )
    if not all_states:
        query = query.where(workers.c.state.in_(LIVE))
    return [_record(row) for row in connection.execute(query.order_by(workers.c.name, workers.c.started_at))]


def _record(row: Any) -> WorkerRecord:
    same = ("id", "name", "bulkhead", "host", "pid", "concurrency", "state", "draining", "running", "outvoted", "unfit")
    return WorkerRecord(
        **{name: getattr(row, name) for name in same},
        started_at=to_datetime(row.started_at),
        heartbeat_at=to_datetime(row.heartbeat_at),
        heartbeat_age=row.silence,
    )
