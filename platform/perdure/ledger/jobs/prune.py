"""Deleting what is old, in small batches: each is one short transaction, so that nothing waits long for it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, or_, select, text

from perdure.ledger.conditions import CLOCK_SKEW, state_is
from perdure.ledger.hot import hot
from perdure.ledger.now import now
from perdure.ledger.partitions.tables import OF_JOBS
from perdure.ledger.schema import dead_letters, jobs, worker_events, workers
from perdure.model.ids import earliest_id
from perdure.model.states import JobState
from perdure.model.worker_health import WorkerState

_OPEN = "open"

#: The ids are one parameter: with one for each, SQLAlchemy takes twice as long as the database, which locks meanwhile.
_AMONG = {"sqlite": "IN (SELECT value FROM json_each(:ids))", "postgresql": "= ANY(CAST(:ids AS text[]))"}
#: Deletes what belongs to some jobs, and then the jobs.
_DELETE = {
    dialect: [
        text(f"DELETE FROM {only} {table.name} WHERE {'id' if table is jobs else 'job_id'} {_AMONG[dialect]}")
        for table in (*OF_JOBS, jobs)
    ]
    for dialect, only in {"sqlite": "", "postgresql": "ONLY"}.items()
}


def finished_jobs(connection: Connection, state: JobState, retention: float, after: str, page: int) -> list[str]:
    """Delete jobs that ended in a state more than ``retention`` seconds ago, and what belongs to them.

    A job stays while its idempotency key protects against a second submit, and while its dead letter is open; and in its
    partition, which goes as a whole, see :mod:`perdure.ledger.partitions.tables`.

    Args:
        connection: In a transaction.
        state: The jobs' state.
        retention: Seconds.
        after: Only jobs whose ids come after this one. A page from the beginning on would pass by all that stays, and on
            PostgreSQL by all that the pages before have deleted, until it is vacuumed.
        page: How many at most.

    Returns:
        The jobs that were deleted, in order.
    """
    open_letter = select(dead_letters.c.job_id).where(dead_letters.c.status == _OPEN, dead_letters.c.job_id == jobs.c.id)
    key_is_free = or_(jobs.c.idempotency_key.is_(None), jobs.c.idempotency_expires_at <= now())
    # What was made since cannot have ended before: without this bound the last page would read all that is kept.
    made_by = earliest_id(connection.execute(select(now())).scalar_one() - retention + CLOCK_SKEW)
    ended = jobs.c.finished_at < now() - retention
    old = (state_is(state), jobs.c.id > after, jobs.c.id < made_by, ended, key_is_free, ~open_letter.exists())
    query = hot(select(jobs.c.id)).where(*old).order_by(jobs.c.id).limit(page).with_for_update(skip_locked=True)
    ids = list(connection.execute(query).scalars())
    if ids:
        dialect = connection.dialect.name
        named = {"ids": ids if dialect == "postgresql" else msgspec.json.encode(ids).decode()}
        for statement in _DELETE[dialect]:
            connection.execute(statement, named)
    return ids


def ended_workers(connection: Connection, retention: float, page: int) -> int:
    """Delete incarnations that ended more than ``retention`` seconds ago, and events as old as that."""
    ended = workers.c.state.in_(WorkerState.ended())
    runs_nothing = ~hot(select(jobs.c.id)).where(state_is(JobState.RUNNING), jobs.c.worker_id == workers.c.id).exists()
    deleted = _page(connection, workers, page, ended, workers.c.state_changed_at < now() - retention, runs_nothing)
    return deleted + _page(connection, worker_events, page, worker_events.c.at < now() - retention)


def _page(connection: Connection, table: Table, page: int, *where: ColumnElement[Any]) -> int:
    ids = list(connection.execute(select(table.c.id).where(*where).limit(page)).scalars())
    if not ids:
        return 0
    return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
