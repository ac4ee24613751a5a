"""The last error of each task, among the attempts that ended last."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.clock import to_datetime
from perdure.model.states import Outcome

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: The attempts that ended last which are looked at, so that a look costs the same whatever ended before.
LOOKED_AT = 5_000
#: Seconds for which an error is one of the last.
LAST = 86_400.0
_BAD = ", ".join(f"'{outcome}'" for outcome in (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT))
_LAST_ERRORS = {
    dialect: f"""
    SELECT j.task, n.job_id, n.outcome, n.error_type, n.error, n.finished_at FROM (
        SELECT job_id, outcome, error_type, error, finished_at FROM perdure_attempts
        WHERE finished_at >= {NOW[dialect]} - {LAST} ORDER BY finished_at DESC LIMIT {LOOKED_AT}
    ) AS n JOIN perdure_jobs j ON j.id = n.job_id
    WHERE n.outcome IN ({_BAD}) ORDER BY n.finished_at DESC
    """
    for dialect in DIALECTS
}


class LastError(Struct, frozen=True):
    """The newest attempt of a task that failed."""

    task: str
    job_id: str
    outcome: str
    error_type: str | None
    error: str | None
    at: datetime | None


def last_errors(connection: Where) -> dict[str, LastError]:
    """Return the last error of each task that has one among the newest ``LOOKED_AT`` attempts of the last day."""
    found: dict[str, LastError] = {}
    for task, job_id, outcome, error_type, error, at in direct.rows(connection, _LAST_ERRORS[connection.dialect.name], {}):
        found.setdefault(task, LastError(task, job_id, outcome, error_type, error, to_datetime(at)))
    return found
