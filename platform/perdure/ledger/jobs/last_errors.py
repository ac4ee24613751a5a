"""The last error of each task, among the attempts that ended last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from perdure.ledger.now import now
from perdure.ledger.schema import attempts, jobs
from perdure.model.clock import to_datetime
from perdure.model.states import Outcome

#: The attempts that ended last which are looked at, so that a look costs the same whatever ended before.
LOOKED_AT = 5_000
#: Seconds for which an error is one of the last.
LAST = 86_400.0
_BAD = (Outcome.FAILED.value, Outcome.CRASHED.value, Outcome.TIMEOUT.value)


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest attempt of a task that failed."""

    task: str
    job_id: str
    outcome: str
    error_type: str | None
    error: str | None
    at: datetime | None


def last_errors(connection: Connection) -> dict[str, LastError]:
    """Return the last error of each task that has one among the newest ``LOOKED_AT`` attempts of the last day."""
    a = attempts.c
    columns = (a.job_id, a.outcome, a.error_type, a.error, a.finished_at)
    newest = (
        select(*columns).where(a.finished_at >= now() - LAST).order_by(a.finished_at.desc()).limit(LOOKED_AT).subquery()
    )
    n = newest.c
    bad = select(jobs.c.task, *n).join(jobs, jobs.c.id == n.job_id).where(n.outcome.in_(_BAD))
    found: dict[str, LastError] = {}
    for row in connection.execute(bad.order_by(n.finished_at.desc())):
        error = LastError(row.task, row.job_id, row.outcome, row.error_type, row.error, to_datetime(row.finished_at))
        found.setdefault(row.task, error)
    return found
