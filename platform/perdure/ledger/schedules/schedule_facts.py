"""What the ledger knows of schedules: the newest tick of each, the job that it made, and who has paused it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from perdure.ledger.conditions import seen_state
from perdure.ledger.schema import jobs, schedules
from perdure.model.clock import to_datetime


@dataclass(frozen=True, slots=True)
class LastTick:
    """The newest tick of a schedule; ``state`` is that of its job, None when that is pruned or there was none."""

    at: datetime | None
    job_id: str | None
    state: str | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody's pause of a schedule."""

    at: datetime | None
    by: str
    reason: str


def pauses(connection: Connection) -> dict[str, Pause]:
    """Return the paused schedules."""
    s = schedules.c
    rows = connection.execute(select(s.name, s.paused_at, s.paused_by, s.pause_reason).where(s.paused_at.is_not(None)))
    return {row.name: Pause(to_datetime(row.paused_at), row.paused_by or "", row.pause_reason or "") for row in rows}


def taken(connection: Connection, task: str, keys: Sequence[str]) -> set[str]:
    """Return those of some idempotency keys under which the ledger has a job of a task, expired or not."""
    query = select(jobs.c.idempotency_key).where(jobs.c.task == task, jobs.c.idempotency_key.in_(keys))
    return set(connection.execute(query).scalars())


def last_ticks(connection: Connection) -> dict[str, LastTick]:
    """Return the newest tick of each schedule that was ever looked at."""
    s = schedules.c
    columns = (s.name, s.last_tick, s.last_job_id, seen_state())
    rows = connection.execute(select(*columns).outerjoin(jobs, jobs.c.id == s.last_job_id))
    return {row.name: LastTick(to_datetime(row.last_tick), row.last_job_id, row.seen_state) for row in rows}
