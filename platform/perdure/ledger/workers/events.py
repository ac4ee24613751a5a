"""The history of workers: every change of state, with how long it took to be noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.clock import to_datetime
from perdure.model.ids import new_id
from perdure.model.worker_health import WorkerEvent, WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: In the order of the event's fields.
_COLUMNS = "worker_id, worker_name, bulkhead, source, target, reason, at, silence"
_INSERT = {
    dialect: f"""
    INSERT INTO perdure_worker_events (id, {_COLUMNS})
    VALUES (:id, :worker_id, :name, :bulkhead, :source, :target, :reason, {NOW[dialect]}, :silence)
    RETURNING {_COLUMNS}
    """
    for dialect in DIALECTS
}
_NEWEST = f"SELECT {_COLUMNS} FROM perdure_worker_events ORDER BY id DESC LIMIT :most"
_NEWEST_OF = f"SELECT {_COLUMNS} FROM perdure_worker_events WHERE worker_name = :name ORDER BY id DESC LIMIT :most"
_STATES = ", ".join(f"'{state}'" for state in WorkerState)
_LAST_STATE = f"""
    SELECT target FROM perdure_worker_events WHERE worker_name = :name AND target IN ({_STATES}) ORDER BY id DESC LIMIT 1
"""


def record(
    connection: Where,
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
    of_worker = {"worker_id": worker_id, "name": name, "bulkhead": bulkhead}
    values = {"id": new_id(), **of_worker, "source": source, "target": target, "reason": reason, "silence": silence}
    [row] = direct.rows(connection, _INSERT[connection.dialect.name], values)
    return _event(row)


def listing(connection: Where, *, name: str | None = None, limit: int = 100) -> list[WorkerEvent]:
    """Return events, the newest first; of one worker when ``name`` is given."""
    statement = _NEWEST if name is None else _NEWEST_OF
    return [_event(row) for row in direct.rows(connection, statement, {"name": name, "most": limit})]


def last_state_of(connection: Where, name: str) -> str | None:
    """Return the state that the newest event of a worker's name led to."""
    state: str | None
    [(state,)] = direct.rows(connection, _LAST_STATE, {"name": name}) or [(None,)]
    return state


def _event(row: Sequence[Any]) -> WorkerEvent:
    *same, at, silence = row
    return WorkerEvent(*(*same, to_datetime(at), silence))
