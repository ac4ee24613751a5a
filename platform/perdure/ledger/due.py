"""Finding jobs that need a ticket: those whose time has come, and queued ones that have none.

Each statement takes a bounded page. On PostgreSQL several dispatchers share the work by SKIP LOCKED; SQLite has one writer.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, case, exists, null, select, update

from perdure.ledger.conditions import locked_page, may, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Ticketed
from perdure.ledger.schema import bulkheads, jobs
from perdure.states import JobState, Transition, target

_TICKET_COLUMNS = tuple(jobs.c[name] for name in Ticketed.__slots__)

_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))

_IS_DUE = (may(Transition.DUE, by_index=False), jobs.c.run_at <= now())
_ANY_DUE = select(jobs.c.id).where(*_IS_DUE).limit(1)
_DUE = select(jobs.c.id).where(*_IS_DUE).order_by(jobs.c.run_at).limit(bindparam("page"))

_IS_UNTICKETED = (state_is(JobState.QUEUED), jobs.c.ticketed_at.is_(None), jobs.c.limit_key.is_(None), ~_PAUSED)
_ANY_UNTICKETED = select(jobs.c.id).where(*_IS_UNTICKETED).limit(1)
_UNTICKETED = select(jobs.c.id).where(*_IS_UNTICKETED).order_by(jobs.c.id).limit(bindparam("page"))

_QUEUE = (
    update(jobs)
    .where(jobs.c.id.in_(locked_page(_DUE)), *_IS_DUE)
    .values(
        state=target(Transition.DUE).value,
        queued_at=now(),
        # A job that a limit bounds waits in the ledger until there is room; see ``limits.py``.
        ticketed_at=case((jobs.c.limit_key.is_(None), now()), else_=null()),
        run_at=null(),
    )
    .returning(*_TICKET_COLUMNS)
)

_TICKET = (
    update(jobs)
    .where(jobs.c.id.in_(locked_page(_UNTICKETED)), *_IS_UNTICKETED)
    .values(ticketed_at=now())
    .returning(*_TICKET_COLUMNS)
)

_UNTICKET = update(jobs).where(jobs.c.id == bindparam("of_job"), state_is(JobState.QUEUED)).values(ticketed_at=null())


def queue_due(connection: Connection, page: int) -> list[Ticketed]:
    """Move jobs whose time has come to ``queued`` and return them; the caller sends tickets of those without a limit.

    Args:
        connection: Where to do it; may commit by itself.
        page: The most jobs to move.
    """
    if connection.execute(_ANY_DUE).first() is None:
        return []
    return [Ticketed(**row._mapping) for row in connection.execute(_QUEUE, {"page": page})]


def take_unticketed(connection: Connection, page: int) -> list[Ticketed]:
    """Mark queued jobs that have no ticket as ticketed and return them; the caller sends their tickets."""
    if connection.execute(_ANY_UNTICKETED).first() is None:
        return []
    return [Ticketed(**row._mapping) for row in connection.execute(_TICKET, {"page": page})]


def untick(connection: Connection, job_ids: Sequence[str]) -> None:
    """Note that tickets could not be sent: the dispatcher will send them later."""
    if job_ids:
        connection.execute(_UNTICKET, [{"of_job": job_id} for job_id in job_ids])
