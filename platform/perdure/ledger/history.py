"""What ended in a stretch of time, for plots: read by an index of the attempts' ends, so only that stretch is touched."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, func, select

from perdure.ledger.schema import attempts, jobs
from perdure.states import Outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """Attempts of one bulkhead that ended in a stretch of time; ``mean_run`` in seconds."""

    bulkhead: str
    succeeded: int
    failed: int
    mean_run: float | None


_BAD = (Outcome.FAILED.value, Outcome.CRASHED.value, Outcome.TIMEOUT.value)

_ENDED = (
    select(
        jobs.c.bulkhead,
        func.sum(case((attempts.c.outcome == Outcome.SUCCEEDED.value, 1), else_=0)).label("succeeded"),
        func.sum(case((attempts.c.outcome.in_(_BAD), 1), else_=0)).label("failed"),
        func.avg(attempts.c.finished_at - attempts.c.started_at).label("mean_run"),
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(attempts.c.finished_at >= bindparam("since"), attempts.c.finished_at < bindparam("until"))
    .group_by(jobs.c.bulkhead)
)


def ended_between(connection: Connection, since: float, until: float) -> list[Ended]:
    """Return what ended from ``since`` to just before ``until``, epoch seconds, by bulkhead."""
    rows = connection.execute(_ENDED, {"since": since, "until": until})
    return [Ended(row.bulkhead, int(row.succeeded), int(row.failed), row.mean_run) for row in rows]
