"""Finding jobs by filters, with keyset pages, and counting them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from perdure.ledger.conditions import IS_DUE, exactly, made_before, made_since, seen_state
from perdure.ledger.now import now
from perdure.ledger.paging import Along, bounds, in_order
from perdure.ledger.schema import job_tags, jobs
from perdure.model.job_filter import JobFilter
from perdure.model.records import JobRecord
from perdure.model.states import JobState


def listing(connection: Connection, which: JobFilter, *, limit: int = 100, after: str | None = None) -> list[JobRecord]:
    """Return jobs, the newest first.

    Args:
        connection: Where to read.
        which: Which ones.
        limit: The most to return.
        after: The id of the last job of the page before.
    """
    query, key = matching(which, jobs, seen_state())
    along, within = along_index(which), bounds(after=after, since=which.since, until=which.until)
    pages = [
        in_order(query.where(*where), key, along or of_state, *within).limit(limit)
        for where, of_state in _seen_as(which.state)
    ]
    found = [JobRecord.of(row._mapping) for page in pages for row in connection.execute(page)]
    return found if len(pages) == 1 else sorted(found, key=lambda job: job.id, reverse=True)[:limit]


def count(connection: Connection, by: str, which: JobFilter) -> dict[str, int]:
    """Return how many jobs there are by state, task or bulkhead; what has none is left out."""
    column, counts = jobs.c[by], Counter[str]()
    for where, _ in _seen_as(which.state):
        query, _ = matching(which, column, func.count())
        counts.update({row[0]: row[1] for row in connection.execute(query.where(*where).group_by(column))})
    if by != "state":
        return dict(counts)
    if which.state is not None:
        return {which.state.value: counts.total()} if counts else {}
    query, _ = matching(which, jobs.c.state, func.count())
    for state, number in connection.execute(query.where(IS_DUE).group_by(jobs.c.state)):
        counts[state] -= number
        counts[JobState.QUEUED.value] += number
    return {state: number for state, number in counts.items() if number > 0}


def matching(which: JobFilter, *columns: Any) -> tuple[Select[Any], ColumnElement[str]]:
    """Return a query for jobs that match a filter but for its state, and the column of their ids to go on by."""
    query, key = select(*columns).select_from(jobs), jobs.c.id
    if which.tag is not None:
        # From the tags to their jobs, in the tags' order: a rare tag must not make a page read all jobs.
        key = job_tags.c.job_id
        query = query.join(job_tags, jobs.c.id == key)
        query = query.where(job_tags.c.tag == which.tag[0], job_tags.c.value == which.tag[1])
    equal = {name: getattr(which, name) for name in ("task", "bulkhead")}
    query = query.where(*(exactly(jobs.c[name], value) for name, value in equal.items() if value is not None))
    if which.since is not None:
        query = query.where(*made_since(key, jobs.c.created_at, which.since))
    if which.until is not None:
        query = query.where(*made_before(key, jobs.c.created_at, which.until))
    return query, key


def along_index(which: JobFilter) -> Along | None:
    """Return by which column's index a list of what matches is read; None where its tag has an index."""
    if which.tag is not None:
        return None
    given = ((jobs.c[name], getattr(which, name)) for name in ("task", "bulkhead"))
    return next(((column, value) for column, value in given if value is not None), None)


def _seen_as(state: JobState | None) -> list[tuple[tuple[ColumnElement[bool], ...], Along | None]]:
    """Return the conditions of a state as people see it, any of which will do, with the index of states if it serves."""
    if state is None:
        return [((), None)]
    of_state: Along = (jobs.c.state, literal_column(f"'{JobState(state).value}'"))
    is_it = exactly(*of_state)
    if state is JobState.QUEUED:
        return [((is_it,), of_state), ((jobs.c.run_at <= now(), IS_DUE), None)]
    if state in (JobState.SCHEDULED, JobState.RETRYING):
        return [((is_it, jobs.c.run_at > now()), of_state)]
    return [((is_it,), of_state)]
