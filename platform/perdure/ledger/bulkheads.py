"""Bulkheads as the ledger sees them: operators' pauses, and what waits and runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, literal_column, select

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


_COUNTED = (JobState.QUEUED, JobState.RUNNING, JobState.SCHEDULED, JobState.RETRYING)
#: An expression, and not the column: SQLite would read all jobs by the column's index to have them grouped already.
_NAME = jobs.c.bulkhead.concat(literal_column("''"))
#: One statement for each state, so that each reads that state's index and no finished job.
_COUNTS = {
    state: select(_NAME, func.count(), (now() - func.min(jobs.c.queued_at)).label("oldest"))
    .where(state_is(state))
    .group_by(_NAME)
    for state in _COUNTED
}


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
    for state, query in _COUNTS.items():
        for name, count, oldest in connection.execute(query):
            found[name] = _with(found.get(name, BulkheadCounts()), state, count, oldest)
    for row in connection.execute(select(bulkheads).where(bulkheads.c.paused)):
        counts = found.get(row.name, BulkheadCounts())
        found[row.name] = replace(counts, paused=True, paused_by=row.paused_by, reason=row.reason)
    return found


def _with(counts: BulkheadCounts, state: JobState, count: int, oldest: float | None) -> BulkheadCounts:
    if state is JobState.QUEUED:
        return replace(counts, queued=count, oldest_wait=oldest)
    if state is JobState.RUNNING:
        return replace(counts, running=count)
    return replace(counts, waiting=counts.waiting + count)
