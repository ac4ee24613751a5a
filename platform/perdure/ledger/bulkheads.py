"""Bulkheads as the ledger sees them: operators' pauses, and what waits and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.model.states import JobState
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class BulkheadCounts(Struct, frozen=True):
    """What is in a bulkhead. ``oldest_wait`` is the seconds that the oldest queued job has waited."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    oldest_wait: float | None = None
    paused: bool = False
    paused_by: str | None = None
    reason: str | None = None


#: An expression, and not the column: SQLite would read all jobs by the column's index to have them grouped already.
_NAME = "bulkhead || ''"
#: What waits and what runs; each is read by an index that knows no finished job.
_WAITING = {
    dialect: f"""
    SELECT {_NAME}, sum(CASE WHEN run_at <= {NOW[dialect]} THEN 1 ELSE 0 END),
        sum(CASE WHEN run_at > {NOW[dialect]} THEN 1 ELSE 0 END), {NOW[dialect]} - min(run_at)
    FROM {HOT[dialect]} WHERE run_at IS NOT NULL GROUP BY {_NAME}
    """
    for dialect in DIALECTS
}
_RUNNING = {
    dialect: f"SELECT {_NAME}, count(*) FROM {HOT[dialect]} WHERE state = '{JobState.RUNNING}' GROUP BY {_NAME}"
    for dialect in DIALECTS
}
_PAUSED = "SELECT name, paused_by, reason FROM perdure_bulkheads WHERE paused"
_PAUSE = {
    dialect: f"""
    INSERT INTO perdure_bulkheads (name, paused, paused_by, paused_at, reason)
    VALUES (:name, TRUE, :by, {NOW[dialect]}, :reason)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, paused_by = excluded.paused_by,
        paused_at = excluded.paused_at, reason = excluded.reason
    """
    for dialect in DIALECTS
}


def pause(connection: Where, name: str, by: str, reason: str) -> None:
    """Let no job of a bulkhead start; those that run go on."""
    values = {"name": name, "by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    direct.run(connection, _PAUSE[connection.dialect.name], values)


def resume(connection: Where, name: str) -> None:
    """Let a bulkhead's jobs start again."""
    direct.run(connection, "DELETE FROM perdure_bulkheads WHERE name = :name", {"name": name})


def counts(connection: Where) -> dict[str, BulkheadCounts]:
    """Return the counts of each bulkhead that has unfinished jobs or is paused."""
    dialect, found = connection.dialect.name, dict[str, BulkheadCounts]()
    for name, queued, waiting, oldest in direct.rows(connection, _WAITING[dialect], {}):
        found[name] = BulkheadCounts(queued, waiting=waiting, oldest_wait=oldest if queued else None)
    for name, running in direct.rows(connection, _RUNNING[dialect], {}):
        found[name] = replace(found.get(name, BulkheadCounts()), running=running)
    for name, by, reason in direct.rows(connection, _PAUSED, {}):
        found[name] = replace(found.get(name, BulkheadCounts()), paused=True, paused_by=by, reason=reason)
    return found
