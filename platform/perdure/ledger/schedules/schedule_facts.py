"""What the ledger knows of schedules: the newest tick of each, the job that it made, and who has paused it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, one_of, texts
from perdure.ledger.jobs.states import SEEN_STATE
from perdure.model.clock import to_datetime

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class LastTick(Struct, frozen=True):
    """The newest tick of a schedule; ``state`` is that of its job, None when that is pruned or there was none."""

    at: datetime | None
    job_id: str | None
    state: str | None


class Pause(Struct, frozen=True):
    """Somebody's pause of a schedule."""

    at: datetime | None
    by: str
    reason: str


_PAUSES = "SELECT name, paused_at, paused_by, pause_reason FROM perdure_schedules WHERE paused_at IS NOT NULL"
_TAKEN = {
    dialect: f"SELECT idempotency_key FROM perdure_jobs WHERE task = :task AND {one_of(dialect, 'idempotency_key', 'keys')}"
    for dialect in DIALECTS
}
_LAST_TICKS = {
    dialect: f"SELECT s.name, s.last_tick, s.last_job_id, {SEEN_STATE[dialect]} "
    "FROM perdure_schedules s LEFT JOIN perdure_jobs j ON j.id = s.last_job_id"
    for dialect in DIALECTS
}


def pauses(connection: Where) -> dict[str, Pause]:
    """Return the paused schedules."""
    found = direct.rows(connection, _PAUSES, {})
    return {name: Pause(to_datetime(at), by or "", reason or "") for name, at, by, reason in found}


def taken(connection: Where, task: str, keys: Sequence[str]) -> set[str]:
    """Return those of some idempotency keys under which the ledger has a job of a task, expired or not."""
    dialect = connection.dialect.name
    return {key for (key,) in direct.rows(connection, _TAKEN[dialect], {"task": task, "keys": texts(dialect, keys)})}


def last_ticks(connection: Where) -> dict[str, LastTick]:
    """Return the newest tick of each schedule that was ever looked at."""
    found = direct.rows(connection, _LAST_TICKS[connection.dialect.name], {})
    return {name: LastTick(to_datetime(at), job_id, state) for name, at, job_id, state in found}
