"""Bulkheads as the ledger sees them: operators' pauses, and what waits and runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, case, delete, func, literal_column, select

from perdure.ledger.conditions import state_is, upsert
from perdure.ledger.hot import hot
from perdure.ledger.now import now
from perdure.ledger.schema import bulkheads, jobs
from perdure.model.states import JobState
from perdure.model.text.storable import MAX_REASON, storable, storable_name


@dataclass(frozen=True, slots=True)
class BulkheadCounts:
    """What is in a bulkhead. ``oldest_wait`` is the seconds that the oldest queued job has waited."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    oldest_wait: float | None = None
    paused: bool = False
    paused_by: str | None = None
    reason: str | None = None


#: An expression, and not the column: SQLite would read all jobs by the column's index to have them grouped already.
_NAME = jobs.c.bulkhead.concat(literal_column("''"))
_IS_WAITING = jobs.c.run_at.is_not(None)
#: What waits and what runs; each is read by an index that knows no finished job.
_WAITING = hot(
    select(
        _NAME,
        func.sum(case((jobs.c.run_at <= now(), 1), else_=0)).label("queued"),
        func.sum(case((jobs.c.run_at > now(), 1), else_=0)).label("waiting"),
        (now() - func.min(jobs.c.run_at)).label("oldest"),
    )
    .where(_IS_WAITING)
    .group_by(_NAME)
)
_RUNNING = hot(select(_NAME, func.count()).where(state_is(JobState.RUNNING)).group_by(_NAME))


def pause(connection: Connection, name: str, by: str, reason: str) -> None:
    """Let no job of a bulkhead start; those that run go on."""
    why = {"paused_by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    values = {"name": name, "paused": True, "paused_at": now(), **why}
    connection.execute(upsert(bulkheads, connection.dialect.name, ["name"]).values(**values))


def resume(connection: Connection, name: str) -> None:
    """Let a bulkhead's jobs start again."""
    connection.execute(delete(bulkheads).where(bulkheads.c.name == name))


def counts(connection: Connection) -> dict[str, BulkheadCounts]:
    """Return the counts of each bulkhead that has unfinished jobs or is paused."""
    found: dict[str, BulkheadCounts] = {}
    for name, queued, waiting, oldest in connection.execute(_WAITING):
        found[name] = BulkheadCounts(queued, waiting=waiting, oldest_wait=oldest if queued else None)
    for name, running in connection.execute(_RUNNING):
        found[name] = replace(found.get(name, BulkheadCounts()), running=running)
    for row in connection.execute(select(bulkheads).where(bulkheads.c.paused)):
        paused = {"paused": True, "paused_by": row.paused_by, "reason": row.reason}
        found[row.name] = replace(found.get(row.name, BulkheadCounts()), **paused)
    return found
