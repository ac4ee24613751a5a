"""Reading jobs: by id, by filters with keyset pages, and counts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from perdure.errors import JobNotFound
from perdure.ledger.conditions import made_since, state_is
from perdure.ledger.records import AttemptRecord, JobRecord
from perdure.ledger.schema import attempts, job_tags, jobs
from perdure.states import JobState

COUNTABLE = ("state", "task", "bulkhead")
#: Jobs of a task that its mean duration is taken from.
_NEWEST = 200


def get(connection: Connection, job_id: str) -> JobRecord:
    """Return a job.

    Raises:
        JobNotFound: There is none of that id.
    """
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise JobNotFound(f"no job {job_id!r} in the ledger. List them: perdure jobs list")
    return JobRecord.of(row._mapping)


def states(connection: Connection, job_ids: Sequence[str]) -> dict[str, JobState]:
    """Return the states of several jobs by id."""
    rows = connection.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(job_ids)))
    return {row.id: JobState(row.state) for row in rows}


def listing(
    connection: Connection,
    *,
    state: JobState | None = None,
    task: str | None = None,
    bulkhead: str | None = None,
    tag: tuple[str, str] | None = None,
    since: float | None = None,
    replay_of: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[JobRecord]:
    """Return jobs, the newest first.

    Args:
        connection: Where to read.
        state: Only jobs in this state.
        task: Only jobs of this task.
        bulkhead: Only jobs on this bulkhead.
        tag: Only jobs with this tag and value.
        since: Only jobs made since then, epoch seconds.
        replay_of: Only replays of this job.
        limit: The most to return.
        after: The id of the last job of the page before.
    """
    query, key = select(jobs), jobs.c.id
    if tag is not None:
        # From the tags to their jobs, in the tags' order: a rare tag must not make a page read all jobs.
        key = job_tags.c.job_id
        query = query.join(job_tags, jobs.c.id == key).where(job_tags.c.tag == tag[0], job_tags.c.value == tag[1])
    equal = {"task": task, "bulkhead": bulkhead, "replay_of": replay_of}
    query = query.where(*(jobs.c[name] == value for name, value in equal.items() if value is not None))
    if state is not None:
        query = query.where(state_is(state))
    if since is not None:
        query = query.where(*made_since(key, jobs.c.created_at, since))
    if after is not None:
        query = query.where(key < after)
    return [JobRecord.of(row._mapping) for row in connection.execute(query.order_by(key.desc()).limit(limit))]


def count(connection: Connection, by: str) -> dict[str, int]:
    """Return how many jobs there are by state, task or bulkhead."""
    column = jobs.c[by]
    return {row[0]: row[1] for row in connection.execute(select(column, func.count()).group_by(column))}


def mean_run(connection: Connection, task: str) -> float:
    """Return the seconds that the newest jobs of a task took that succeeded; 0 when there are none."""
    c = jobs.c
    newest = (
        select(c.state, c.started_at, c.finished_at).where(c.task == task).order_by(c.id.desc()).limit(_NEWEST).subquery()
    )
    took = func.avg(newest.c.finished_at - newest.c.started_at)
    mean = connection.execute(select(took).where(newest.c.state == JobState.SUCCEEDED.value)).scalar_one()
    return float(mean or 0.0)


def attempts_of(connection: Connection, job_id: str) -> list[AttemptRecord]:
    """Return a job's ended attempts, the first one first."""
    rows = connection.execute(select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number))
    return [AttemptRecord.of(row._mapping) for row in rows]
