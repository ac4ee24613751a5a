"""Moving jobs that succeeded into the partition of when they ended, in batches, with what belongs to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, Table, select, text

from perdure.ledger.conditions import state_is
from perdure.ledger.hot import hot
from perdure.ledger.now import now
from perdure.ledger.partitions.tables import OF_JOBS, make, name_of
from perdure.ledger.schema import jobs, metadata
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import JobState


def archive(connection: Connection, period: float, rest: float, after: str, page: int) -> list[str]:
    """Move a page of jobs into partitions, in the caller's transaction, and return their ids in order.

    Nothing changes a job that succeeded, so nobody looks for it in the table again. Replicas stay: when a sibling is
    claimed, the table says which workers had one.

    Args:
        connection: A connection to PostgreSQL.
        period: Seconds that each partition holds.
        rest: Only jobs that ended so many seconds ago; longer than any submit or settlement is repeated.
        after: Only jobs whose ids come after this one.
        page: How many at most.
    """
    c = jobs.c
    moment: float = connection.execute(select(now())).scalar_one()
    # What was made since cannot have ended before: without this bound the last page would read all that is kept.
    made = (c.id > after, c.id < earliest_id(moment - rest + CLOCK_SKEW))
    ended = (state_is(JobState.SUCCEEDED), c.finished_at < moment - rest, c.replica_of.is_(None))
    query = hot(select(c.id, c.finished_at)).where(*ended, *made).order_by(c.id).limit(page)
    parts: dict[float, list[str]] = defaultdict(list)
    for job_id, finished_at in connection.execute(query.with_for_update(skip_locked=True)):
        parts[(finished_at // period + 1) * period].append(job_id)
    for until, ids in parts.items():
        make(connection, until)
        for table in (jobs, *(metadata.tables[name] for name in OF_JOBS)):
            _move(connection, table, ids, until)
    return sorted(job_id for ids in parts.values() for job_id in ids)


def _move(connection: Connection, table: Table, ids: Sequence[str], until: float) -> None:
    key = "id" if table is jobs else "job_id"
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    moved = f"DELETE FROM ONLY {table.name} WHERE {key} = ANY(CAST(:ids AS text[])) RETURNING {columns}"
    into = f"INSERT INTO {name_of(table.name, until)} ({columns}) SELECT {columns} FROM moved"
    connection.execute(text(f"WITH moved AS ({moved}) {into}"), {"ids": ids})
