"""The history of workers: every change of state, with how long it took to be noticed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from perdure.ledger.now import now
from perdure.ledger.schema import worker_events
from perdure.model.clock import to_datetime
from perdure.model.ids import new_id
from perdure.model.worker_health import WorkerEvent, WorkerState

_GIVEN = ("id", "worker_id", "worker_name", "bulkhead", "source", "target", "reason", "silence")
_VALUES: dict[str, Any] = {**{name: bindparam(name) for name in _GIVEN}, "at": now()}
_INSERT = worker_events.insert().values(_VALUES).returning(*worker_events.c)
_LAST_STATE = (
    select(worker_events.c.target)
    .where(worker_events.c.worker_name == bindparam("of_name"))
    .where(worker_events.c.target.in_([state.value for state in WorkerState]))
    .order_by(worker_events.c.id.desc())
    .limit(1)
)


def record(
    connection: Connection,
    worker_id: str,
    name: str,
    bulkhead: str,
    *,
    source: str | None,
    target: str,
    reason: str,
    silence: float | None,
) -> WorkerEvent:
    """Write an event and return it."""
    values = {"worker_id": worker_id, "worker_name": name, "bulkhead": bulkhead, "source": source, "target": target}
    return _event(connection.execute(_INSERT, {"id": new_id(), **values, "reason": reason, "silence": silence}).one())


def listing(connection: Connection, *, name: str | None = None, limit: int = 100) -> list[WorkerEvent]:
    """Return events, the newest first; of one worker when ``name`` is given."""
    query = select(worker_events).order_by(worker_events.c.id.desc()).limit(limit)
    if name is not None:
        query = query.where(worker_events.c.worker_name == name)
    return [_event(row) for row in connection.execute(query)]


def last_state_of(connection: Connection, name: str) -> str | None:
    """Return the state that the newest event of a worker's name led to."""
    state: str | None = connection.execute(_LAST_STATE, {"of_name": name}).scalar_one_or_none()
    return state


def _event(row: Any) -> WorkerEvent:
    same = ("worker_id", "bulkhead", "source", "target", "reason", "silence")
    return WorkerEvent(**{name: getattr(row, name) for name in same}, name=row.worker_name, at=to_datetime(row.at))
