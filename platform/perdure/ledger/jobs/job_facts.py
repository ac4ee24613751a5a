"""What a user interface shows of jobs besides their records: why one was cancelled, and how many are in which state."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from perdure.ledger.conditions import seen_state
from perdure.ledger.jobs.find import along_index, matching
from perdure.ledger.paging import bounds, in_order
from perdure.ledger.schema import jobs
from perdure.model.job_filter import JobFilter

#: The newest jobs that are counted by state, so that a count costs the same however many jobs are remembered.
COUNTED = 5_000


def cancel_reason(connection: Connection, job_id: str) -> str | None:
    """Return what whoever cancelled a job gave as the reason, or None."""
    reason: str | None = connection.execute(select(jobs.c.cancel_reason).where(jobs.c.id == job_id)).scalar_one_or_none()
    return reason


def count_newest(connection: Connection, which: JobFilter) -> dict[str, int]:
    """Return how many of the newest ``COUNTED`` jobs that match are in each state, whichever the filter names."""
    query, key = matching(which, seen_state())
    within = bounds(since=which.since, until=which.until)
    newest = in_order(query, key, along_index(which), *within).limit(COUNTED).subquery()
    rows = connection.execute(select(newest.c.seen_state, func.count()).group_by(newest.c.seen_state))
    return {row[0]: row[1] for row in rows}
