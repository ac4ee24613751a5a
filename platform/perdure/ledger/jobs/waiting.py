"""Collecting the facts that say why a job is not running; see :mod:`perdure.model.waiting_reasons`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from perdure.errors import JobNotFound
from perdure.ledger.conditions import seen_state, state_is
from perdure.ledger.now import now
from perdure.ledger.schema import bulkheads, jobs, workers
from perdure.model.states import JobState
from perdure.model.waiting_reasons import Facts
from perdure.model.worker_health import WorkerState

#: Queued jobs before a job that are counted at most.
MOST_COUNTED = 10_000

_SAME = (
    "task",
    "bulkhead",
    "run_at",
    "unknown_since",
    "deadline",
    "snoozes",
    "crashes",
    "error",
    "breaker",
    "limit_key",
)


def facts_of(connection: Connection, job_id: str, limit: int | None) -> Facts:
    """Return the facts about a job.

    Args:
        connection: Where to read.
        job_id: The job.
        limit: The most jobs that may run on its bulkhead at once; None for no bound.

    Raises:
        JobNotFound: There is none of that id.
    """
    row = connection.execute(select(jobs, seen_state(), now().label("now")).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise JobNotFound(f"no job {job_id!r} in the ledger. List them: perdure jobs list")
    pause = connection.execute(select(bulkheads).where(bulkheads.c.name == row.bulkhead, bulkheads.c.paused)).first()
    serving, slots = _workers(connection, row.bulkhead)
    return Facts(
        **{name: getattr(row, name) for name in _SAME},
        state=JobState(row.seen_state),
        now=row.now,
        cancel_requested=row.cancel_requested_at is not None,
        worker=row.worker_name,
        paused_by=None if pause is None else pause.paused_by or "somebody",
        pause_reason=None if pause is None else pause.reason,
        workers=serving,
        slots=slots,
        running=_running(connection, row.bulkhead),
        limit=limit,
        ahead=_ahead(connection, row),
    )


def _workers(connection: Connection, bulkhead: str) -> tuple[int, int]:
    live = workers.c.state.in_((WorkerState.HEALTHY.value, WorkerState.SUSPECT.value))
    query = select(func.count(), func.coalesce(func.sum(workers.c.concurrency), 0))
    row = connection.execute(query.where(workers.c.bulkhead == bulkhead, live, ~workers.c.draining)).one()
    return row[0], row[1]


def _running(connection: Connection, bulkhead: str) -> int:
    runs = (jobs.c.bulkhead == bulkhead) & state_is(JobState.RUNNING)
    return connection.execute(select(func.count()).select_from(jobs).where(runs)).scalar_one()


def _ahead(connection: Connection, row: Any) -> int:
    """Return how many jobs of a job's lane come before it."""
    if row.run_at is None:
        return 0
    before = or_(jobs.c.priority < row.priority, and_(jobs.c.priority == row.priority, jobs.c.run_at < row.run_at))
    waiting = select(jobs.c.id).where(
        jobs.c.bulkhead == row.bulkhead, jobs.c.lane == row.lane, jobs.c.run_at <= now(), before
    )
    return connection.execute(select(func.count()).select_from(waiting.limit(MOST_COUNTED).subquery())).scalar_one()
