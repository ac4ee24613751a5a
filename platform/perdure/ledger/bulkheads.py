"""Bulkheads as the ledger sees them: operators' pauses, and what waits and runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, select

from perdure.ledger.conditions import state_is, upsert
from perdure.ledger.now import now
from perdure.ledger.reconcile import forget_tickets
from perdure.ledger.schema import bulkheads, jobs
from perdure.ledger.text import MAX_REASON, storable, storable_name
from perdure.states import JobState


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


_COUNTS = (
    select(jobs.c.bulkhead, jobs.c.state, func.count(), (now() - func.min(jobs.c.queued_at)).label("oldest"))
    .where(state_is(JobState.QUEUED, JobState.RUNNING, JobState.SCHEDULED, JobState.RETRYING))
    .group_by(jobs.c.bulkhead, jobs.c.state)
)


def pause(connection: Connection, name: str, by: str, reason: str) -> None:
    """Let no job of a bulkhead start; those that run go on."""
    why = {"paused_by": storable_name(by), "reason": storable(reason, MAX_REASON)}
    values = {"name": name, "paused": True, "paused_at": now(), **why}
    connection.execute(upsert(bulkheads, connection.dialect.name, ["name"]).values(**values))


def resume(connection: Connection, name: str) -> None:
    """Let a bulkhead's jobs start again: their tickets, dropped meanwhile, are sent anew."""
    connection.execute(delete(bulkheads).where(bulkheads.c.name == name))
    forget_tickets(connection, name)


def counts(connection: Connection) -> dict[str, BulkheadCounts]:
    """Return the counts of each bulkhead that has unfinished jobs or is paused."""
    found: dict[str, BulkheadCounts] = {}
    for name, state, count, oldest in connection.execute(_COUNTS):
        counts = found.get(name, BulkheadCounts())
        if state == JobState.QUEUED:
            counts = replace(counts, queued=count, oldest_wait=oldest)
        elif state == JobState.RUNNING:
            counts = replace(counts, running=count)
        else:
            counts = replace(counts, waiting=counts.waiting + count)
        found[name] = counts
    for row in connection.execute(select(bulkheads).where(bulkheads.c.paused)):
        counts = found.get(row.name, BulkheadCounts())
        found[row.name] = replace(counts, paused=True, paused_by=row.paused_by, reason=row.reason)
    return found
