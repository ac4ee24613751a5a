"""Deleting what is old, in small batches: each is one short transaction, so that nothing waits long for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.clock import clock
from perdure.ledger.dialects import DIALECTS, HOT, NOW, SKIP_LOCKED, one_of, texts
from perdure.ledger.partitions.tables import OF_JOBS
from perdure.model.dead_letter import OPEN
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import JobState
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_OLD = {
    (dialect, state): f"""
    SELECT j.id FROM {HOT[dialect]} j
    WHERE j.state = '{state}' AND j.id > :after AND j.id < :made_by AND j.finished_at < {NOW[dialect]} - :retention
        AND (j.idempotency_key IS NULL OR j.idempotency_expires_at <= {NOW[dialect]})
        AND NOT EXISTS (SELECT 1 FROM perdure_dead_letters d WHERE d.status = :open AND d.job_id = j.id)
    ORDER BY j.id LIMIT :page {SKIP_LOCKED[dialect]}
    """
    for dialect in DIALECTS
    for state in JobState
    if state.is_final
}
#: Delete what belongs to some jobs, and then the jobs.
_DELETE = {
    dialect: [
        f"DELETE FROM {only} {table} WHERE {one_of(dialect, key, 'ids')}"
        for table, key in (*((table, "job_id") for table in OF_JOBS), ("perdure_jobs", "id"))
    ]
    for dialect, only in {"sqlite": "", "postgresql": "ONLY"}.items()
}
_ENDED = ", ".join(f"'{state}'" for state in WorkerState.ended())
_OF_WORKERS = {
    dialect: [
        f"""
        DELETE FROM perdure_workers WHERE id IN (
            SELECT id FROM perdure_workers
            WHERE state IN ({_ENDED}) AND state_changed_at < {NOW[dialect]} - :retention AND NOT EXISTS (
                SELECT 1 FROM {HOT[dialect]} j WHERE j.state = '{JobState.RUNNING}' AND j.worker_id = perdure_workers.id
            ) LIMIT :page
        ) RETURNING id
        """,
        f"""
        DELETE FROM perdure_worker_events WHERE id IN (
            SELECT id FROM perdure_worker_events WHERE at < {NOW[dialect]} - :retention LIMIT :page
        ) RETURNING id
        """,
    ]
    for dialect in DIALECTS
}


def finished_jobs(connection: Where, state: JobState, retention: float, after: str, page: int) -> list[str]:
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
    dialect = connection.dialect.name
    # What was made since cannot have ended before: without this bound the last page would read all that is kept.
    made_by = earliest_id(clock(connection) - retention + CLOCK_SKEW)
    which = {"after": after, "made_by": made_by, "retention": retention, "open": OPEN, "page": page}
    ids = [job_id for (job_id,) in direct.rows(connection, _OLD[dialect, state], which)]
    if ids:
        for statement in _DELETE[dialect]:
            direct.run(connection, statement, {"ids": texts(dialect, ids)})
    return ids


def ended_workers(connection: Where, retention: float, page: int) -> int:
    """Delete incarnations that ended more than ``retention`` seconds ago, and events as old as that."""
    which = {"retention": retention, "page": page}
    return sum(len(direct.rows(connection, statement, which)) for statement in _OF_WORKERS[connection.dialect.name])
