"""What a user interface shows of jobs besides their records: why one was cancelled, and how many are in which state."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from perdure.ledger.conditions import made_since, seen_state
from perdure.ledger.schema import job_tags, jobs

#: The newest jobs that are counted by state, so that a count costs the same however many jobs are remembered.
COUNTED = 5_000


def cancel_reason(connection: Connection, job_id: str) -> str | None:
    """Return what whoever cancelled a job gave as the reason, or None."""
    reason: str | None = connection.execute(select(jobs.c.cancel_reason).where(jobs.c.id == job_id)).scalar_one_or_none()
    return reason


def count_newest(
    connection: Connection,
    *,
    task: str | None = None,
    bulkhead: str | None = None,
    tag: tuple[str, str] | None = None,
    since: float | None = None,
) -> dict[str, int]:
    """Return how many of the newest ``COUNTED`` jobs that match are in each state; the filters are those of a list."""
    query, key = select(seen_state()), jobs.c.id
    if tag is not None:
        key = job_tags.c.job_id
        query = query.join(job_tags, jobs.c.id == key).where(job_tags.c.tag == tag[0], job_tags.c.value == tag[1])
    equal = {"task": task, "bulkhead": bulkhead}
    query = query.where(*(jobs.c[name] == value for name, value in equal.items() if value is not None))
    if since is not None:
        query = query.where(*made_since(key, jobs.c.created_at, since))
    newest = query.order_by(key.desc()).limit(COUNTED).subquery()
    rows = connection.execute(select(newest.c.seen_state, func.count()).group_by(newest.c.seen_state))
    return {row[0]: row[1] for row in rows}
