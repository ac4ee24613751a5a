"""Periodic jobs in the ledger: the newest tick of each, moved on by whoever is first, together with the job's row."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.jobs.submit import submit
from perdure.ledger.now import now
from perdure.ledger.schema import schedules
from perdure.model.new_job import NewJob, Submitted
from perdure.model.text.storable import MAX_REASON, storable, storable_name


def clock(connection: Connection) -> float:
    """Return the ledger's time, seconds since the epoch."""
    return connection.execute(select(now())).scalar_one()


def last_ticks(connection: Connection, names: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Return the ledger's time, and the newest tick of each of some schedules that have been seen before."""
    query = select(now(), schedules.c.name, schedules.c.last_tick).where(schedules.c.name.in_(names))
    rows = connection.execute(query).all()
    return rows[0][0] if rows else clock(connection), {name: tick for _, name, tick in rows}


def last_tick(connection: Connection, name: str) -> float:
    """Return the newest tick of a schedule; a schedule that is seen for the first time begins now."""
    found = select(schedules.c.last_tick).where(schedules.c.name == name)
    tick: float | None = connection.execute(found).scalar_one_or_none()
    if tick is None:
        dialect = connection.dialect.name
        connection.execute(insert_ignoring(schedules, dialect).values(name=name, last_tick=now(), updated_at=now()))
        tick = connection.execute(found).scalar_one()
    return tick


def pause(connection: Connection, name: str, by: str, reason: str) -> None:
    """Let a schedule's ticks pass; one that was never seen begins now. A second pause says anew by whom and why."""
    last_tick(connection, name)
    values = {"paused_at": now(), "paused_by": storable_name(by), "pause_reason": storable(reason, MAX_REASON)}
    connection.execute(update(schedules).where(schedules.c.name == name).values(**values))


def resume(connection: Connection, name: str) -> bool:
    """Let a paused schedule go on with the next tick from now; return whether it was paused."""
    paused = (schedules.c.name == name) & schedules.c.paused_at.is_not(None)
    values = {"paused_at": None, "paused_by": None, "pause_reason": None, "last_tick": now(), "updated_at": now()}
    return connection.execute(update(schedules).where(paused).values(**values)).rowcount > 0


def fire(connection: Connection, name: str, before: float, tick: float, new: NewJob | None) -> Submitted | None:
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
    mine = (schedules.c.name == name) & (schedules.c.last_tick == before) & schedules.c.paused_at.is_(None)
    job_id = new.id if new else schedules.c.last_job_id
    moved = update(schedules).where(mine).values(last_tick=tick, last_job_id=job_id, updated_at=now())
    if connection.execute(moved).rowcount == 0 or new is None:
        return None
    [submitted] = submit(connection, [new])
    return submitted
