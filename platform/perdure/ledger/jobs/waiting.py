"""Collecting the facts that say why a job is not running; see :mod:`perdure.model.waiting_reasons`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from perdure.errors import JobNotFound
from perdure.ledger.conditions import seen_state, state_is
from perdure.ledger.now import now
from perdure.ledger.schema import bulkheads, jobs, workers
from perdure.ledger.workers.verdicts import votes_lost
from perdure.model.states import WAITING_STATES, JobState
from perdure.model.waiting_reasons import Facts
from perdure.model.worker_health import WorkerState, is_barred

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


def facts_of(connection: Connection, job_id: str, limit: int | None, max_outvoted: int | None = None) -> Facts:
    """Return the facts about a job.

    Args:
        connection: Where to read.
        job_id: The job.
        limit: The most jobs that may run on its bulkhead at once; None for no bound.
        max_outvoted: Votes that a worker may lose before it takes part in no more of them; None for any number.

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
        **_vote(connection, row, max_outvoted),
    )


def _vote(connection: Connection, row: Any, max_outvoted: int | None) -> dict[str, Any]:
    """Return who may take the replicas that wait, of the vote that a job is or belongs to."""
    of_vote = select(jobs.c.state, jobs.c.worker_name).where(jobs.c.replica_of == (row.replica_of or row.id))
    replicas = connection.execute(of_vote).all()
    waiting = [each for each in replicas if JobState(each.state) in WAITING_STATES]
    if not waiting:
        return {}
    taken = {each.worker_name for each in replicas} - {each.worker_name for each in waiting}
    names = select(workers.c.name, votes_lost(workers.c.name).label("lost")).where(*_serving(row.bulkhead)).distinct()
    lost = {each.name: each.lost for each in connection.execute(names)}
    barred = {name for name, times in lost.items() if is_barred(times, max_outvoted)}
    return {"unvoted": len(waiting), "voters": len(lost.keys() - taken - barred), "barred": tuple(sorted(barred))}


def _serving(bulkhead: str) -> tuple[ColumnElement[bool], ...]:
    live = workers.c.state.in_((WorkerState.HEALTHY.value, WorkerState.SUSPECT.value))
    return workers.c.bulkhead == bulkhead, live, ~workers.c.draining


def _workers(connection: Connection, bulkhead: str) -> tuple[int, int]:
    query = select(func.count(), func.coalesce(func.sum(workers.c.concurrency), 0))
    row = connection.execute(query.where(*_serving(bulkhead))).one()
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
