"""What a bulkhead's load has been lately: how often jobs came, how long their attempts ran, and how many failed."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select

from perdure.ledger.clock import clock
from perdure.ledger.conditions import made_since
from perdure.ledger.now import now
from perdure.ledger.schema import attempts, jobs
from perdure.model.states import Outcome

#: Attempts that are measured, at most: the newest.
MOST = 10_000
#: How attempts end whose function ended by itself.
_ENDED = (Outcome.SUCCEEDED.value, Outcome.FAILED.value, Outcome.TIMEOUT.value)

_ATTEMPTS = (
    select(attempts.c.finished_at - attempts.c.started_at, attempts.c.outcome)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(
        attempts.c.finished_at >= bindparam("since"),
        attempts.c.started_at.is_not(None),
        attempts.c.outcome.in_(_ENDED),
        jobs.c.bulkhead == bindparam("bulkhead"),
    )
    .order_by(attempts.c.finished_at.desc())
    .limit(MOST)
)


class Measured(Struct, frozen=True):
    """A bulkhead's load.

    Attributes:
        rate: Jobs that were submitted per second, since the first of the window.
        service: Seconds that each attempt took, until it was settled: up to 20 ms more than it ran.
        failures: Share of the attempts that failed.
    """

    rate: float
    service: tuple[float, ...]
    failures: float


def measured(connection: Connection, bulkhead: str, window: float) -> Measured:
    """Return what a bulkhead's load has been.

    Args:
        connection: Where to read.
        bulkhead: The bulkhead.
        window: Seconds up to now.
    """
    since = clock(connection) - window
    rows = connection.execute(_ATTEMPTS, {"since": since, "bulkhead": bulkhead}).all()
    came = select(func.count(), now() - func.min(jobs.c.created_at)).where(
        jobs.c.bulkhead == bulkhead, *made_since(jobs.c.id, jobs.c.created_at, since)
    )
    count, seconds = connection.execute(came).one()
    failed = sum(outcome != Outcome.SUCCEEDED for _, outcome in rows)
    return Measured(
        rate=count / max(seconds, 1e-3) if count else 0.0,
        service=tuple(max(ran, 1e-6) for ran, _ in rows),
        failures=failed / len(rows) if rows else 0.0,
    )
