"""How many jobs wait behind each circuit breaker."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from perdure.ledger.conditions import state_is
from perdure.ledger.schema import jobs
from perdure.model.states import WAITING_STATES

#: Waiting jobs that are counted at most, so that a page does not read a backlog of millions.
MOST_COUNTED = 10_000


def waiting_behind(connection: Connection) -> dict[str, int]:
    """Return how many jobs that wait would meet each breaker, counted to ``MOST_COUNTED`` in all."""
    waiting = select(jobs.c.breaker).where(state_is(*sorted(WAITING_STATES)), jobs.c.breaker.is_not(None))
    some = waiting.limit(MOST_COUNTED).subquery()
    rows = connection.execute(select(some.c.breaker, func.count()).group_by(some.c.breaker))
    return {row[0]: row[1] for row in rows}
