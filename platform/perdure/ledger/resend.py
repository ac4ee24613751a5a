"""Sending a bulkhead's oldest tickets again: a worker that dies takes those that it had prefetched along."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, update

from perdure.ledger.conditions import state_is
from perdure.ledger.now import now
from perdure.ledger.records import Ticketed
from perdure.ledger.schema import jobs
from perdure.states import JobState

_QUEUED = state_is(JobState.QUEUED)

#: The tickets that the broker hands out next, or has handed to a worker that is gone.
_HEAD = (
    select(jobs.c.id)
    .where(_QUEUED, jobs.c.bulkhead == bindparam("in_bulkhead"), jobs.c.ticketed_at > 0)
    .order_by(jobs.c.priority, jobs.c.ticketed_at)
    .limit(bindparam("page"))
    .with_for_update(skip_locked=True)
)


def reticket_head(connection: Connection, bulkhead: str, page: int) -> list[Ticketed]:
    """Mark a bulkhead's oldest tickets as sent again and return them; the caller sends them.

    Args:
        connection: A connection in a transaction.
        bulkhead: The bulkhead.
        page: How many at most; one that was not lost is a message too many, and does no harm.
    """
    ids = list(connection.execute(_HEAD, {"in_bulkhead": bulkhead, "page": page}).scalars())
    if not ids:
        return []
    columns = [jobs.c[name] for name in Ticketed.__slots__]
    again = update(jobs).where(jobs.c.id.in_(ids), _QUEUED).values(ticketed_at=now()).returning(*columns)
    return [Ticketed(**row._mapping) for row in connection.execute(again)]
