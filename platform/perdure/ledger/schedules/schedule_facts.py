"""What the ledger knows of schedules: the newest tick of each, and the job that it made."""

from __future__ import annotations

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


def last_ticks(connection: Connection) -> dict[str, LastTick]:
    """Return the newest tick of each schedule that was ever looked at."""
    s = schedules.c
    columns = (s.name, s.last_tick, s.last_job_id, seen_state())
    rows = connection.execute(select(*columns).outerjoin(jobs, jobs.c.id == s.last_job_id))
    return {row.name: LastTick(to_datetime(row.last_tick), row.last_job_id, row.seen_state) for row in rows}
