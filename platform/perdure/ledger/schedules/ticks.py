"""Periodic jobs in the ledger: the newest tick of each, moved on by whoever is first, together with the job's row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.clock import clock
from perdure.ledger.dialects import DIALECTS, NOW, one_of, texts
from perdure.ledger.jobs.submit import submit
from perdure.model.new_job import NewJob, Submitted
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_LAST_TICKS = {
    dialect: f"SELECT {NOW[dialect]}, name, last_tick FROM perdure_schedules WHERE {one_of(dialect, 'name', 'names')}"
    for dialect in DIALECTS
}
_LAST_TICK = "SELECT last_tick FROM perdure_schedules WHERE name = :name"
_BEGIN = {
    dialect: f"INSERT INTO perdure_schedules (name, last_tick, updated_at) VALUES (:name, {NOW[dialect]}, {NOW[dialect]}) "
    "ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}
_PAUSE = {
    dialect: f"UPDATE perdure_schedules SET paused_at = {NOW[dialect]}, paused_by = :by, pause_reason = :reason "
    "WHERE name = :name"
    for dialect in DIALECTS
}
_RESUME = {
    dialect: f"""
    UPDATE perdure_schedules SET paused_at = NULL, paused_by = NULL, pause_reason = NULL,
        last_tick = {NOW[dialect]}, updated_at = {NOW[dialect]}
    WHERE name = :name AND paused_at IS NOT NULL RETURNING name
    """
    for dialect in DIALECTS
}
_MOVE = {
    dialect: f"""
    UPDATE perdure_schedules SET last_tick = :tick, last_job_id = coalesce(:job, last_job_id), updated_at = {NOW[dialect]}
    WHERE name = :name AND last_tick = :before AND paused_at IS NULL RETURNING name
    """
    for dialect in DIALECTS
}


def last_ticks(connection: Where, names: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Return the ledger's time, and the newest tick of each of some schedules that have been seen before."""
    dialect = connection.dialect.name
    rows = direct.rows(connection, _LAST_TICKS[dialect], {"names": texts(dialect, names)})
    return rows[0][0] if rows else clock(connection), {name: tick for _, name, tick in rows}


def last_tick(connection: Where, name: str) -> float:
    """Return the newest tick of a schedule; a schedule that is seen for the first time begins now."""
    found = direct.rows(connection, _LAST_TICK, {"name": name})
    if not found:
        direct.run(connection, _BEGIN[connection.dialect.name], {"name": name})
        found = direct.rows(connection, _LAST_TICK, {"name": name})
    [(tick,)] = found
    return float(tick)


def pause(connection: Where, name: str, by: str, reason: str) -> None:
    """Let a schedule's ticks pass; one that was never seen begins now. A second pause says anew by whom and why."""
    last_tick(connection, name)
    values = {"name": name, "by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    direct.run(connection, _PAUSE[connection.dialect.name], values)


def resume(connection: Where, name: str) -> bool:
    """Let a paused schedule go on with the next tick from now; return whether it was paused."""
    return bool(direct.rows(connection, _RESUME[connection.dialect.name], {"name": name}))


def fire(connection: Where, name: str, before: float, tick: float, new: NewJob | None) -> Submitted | None:
    """Move a schedule from one tick to another and write the tick's job, in one transaction.

    Args:
        connection: A connection in a transaction.
        name: The schedule.
        before: The tick that the caller saw last.
        tick: The tick to fire, epoch seconds.
        new: The tick's job; None to pass the tick over.

    Returns:
        The job, or None when there is none, another supervisor was first, or the schedule is paused.
    """
    to = {"name": name, "before": before, "tick": tick, "job": new.id if new else None}
    if not direct.rows(connection, _MOVE[connection.dialect.name], to) or new is None:
        return None
    [submitted] = submit(connection, [new])
    return submitted
