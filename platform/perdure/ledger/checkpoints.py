"""Checkpoints in the ledger: fenced by the job's claim, the newest two of each name kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from perdure.clock import to_datetime
from perdure.errors import LeaseLost
from perdure.ledger.conditions import state_is
from perdure.ledger.now import now
from perdure.ledger.schema import checkpoints, jobs
from perdure.ledger.text import storable
from perdure.states import JobState

#: Longest message of progress that is kept, in characters.
MAX_MESSAGE = 1_000

_HELD = (jobs.c.id == bindparam("of_job"), jobs.c.fence == bindparam("of_fence"), state_is(JobState.RUNNING))

_ADVANCE = (
    update(jobs)
    .where(*_HELD)
    .values(checkpoint_seq=jobs.c.checkpoint_seq + 1, checkpointed_at=now())
    .returning(jobs.c.checkpoint_seq, jobs.c.cancel_requested_at)
)

_VALUES: dict[str, Any] = {
    **{name: bindparam(name) for name in ("job_id", "name", "seq", "fence", "data")},
    "saved_at": now(),
}

_DROP_OLDER = delete(checkpoints).where(
    checkpoints.c.job_id == bindparam("of_job"),
    checkpoints.c.name == bindparam("of_name"),
    checkpoints.c.seq < bindparam("kept_from"),
)

_VERSIONS = (
    select(checkpoints.c.seq, checkpoints.c.fence, checkpoints.c.data, checkpoints.c.saved_at)
    .where(checkpoints.c.job_id == bindparam("of_job"), checkpoints.c.name == bindparam("of_name"))
    .order_by(checkpoints.c.seq.desc())
)

_PROGRESS = (
    update(jobs)
    .where(*_HELD)
    .values(
        progress_done=bindparam("done"),
        progress_total=bindparam("total"),
        progress_message=bindparam("message"),
        progress_at=now(),
    )
    .returning(jobs.c.cancel_requested_at)
)

_HOLDS = select(jobs.c.cancel_requested_at).where(*_HELD)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One version of a checkpoint as stored."""

    seq: int
    fence: int
    data: bytes
    saved_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a running job learns when it writes: that it still holds its lease, and whether it shall stop."""

    cancel_requested: bool


def save(
    connection: Connection, job_id: str, fence: int, name: str, data: bytes, previous_seq: int
) -> tuple[int, Standing]:
    """Write a checkpoint and return its sequence number.

    Args:
        connection: A connection in a transaction.
        job_id: The running job.
        fence: Its claim's fence.
        name: Which of the job's checkpoints.
        data: What to write.
        previous_seq: The version to keep besides this one.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    row = connection.execute(_ADVANCE, {"of_job": job_id, "of_fence": fence}).one_or_none()
    if row is None:
        raise LeaseLost(f"job {job_id}: fence {fence} is stale; the checkpoint was not written")
    values = {"job_id": job_id, "name": name, "seq": row.checkpoint_seq, "fence": fence, "data": data}
    connection.execute(checkpoints.insert().values(_VALUES), values)
    connection.execute(_DROP_OLDER, {"of_job": job_id, "of_name": name, "kept_from": previous_seq})
    return row.checkpoint_seq, Standing(row.cancel_requested_at is not None)


def load(connection: Connection, job_id: str, name: str) -> list[StoredCheckpoint]:
    """Return the kept versions of a checkpoint, the newest first."""
    rows = connection.execute(_VERSIONS, {"of_job": job_id, "of_name": name})
    return [StoredCheckpoint(row.seq, row.fence, bytes(row.data), row.saved_at) for row in rows]


def reached(connection: Connection, job_id: str) -> list[dict[str, Any]]:
    """Return the newest version of each checkpoint of a job: ``name``, ``seq``, ``bytes`` and ``saved_at``."""
    c = checkpoints.c
    size = func.length(c.data).label("bytes")
    rows = connection.execute(select(c.name, c.seq, size, c.saved_at).where(c.job_id == job_id).order_by(c.name, c.seq))
    newest = {row.name: dict(row._mapping) | {"saved_at": to_datetime(row.saved_at)} for row in rows}
    return list(newest.values())


def clear(connection: Connection, job_id: str, fence: int, name: str) -> None:
    """Delete all versions of a checkpoint.

    Raises:
        LeaseLost: The fence is stale; nothing was deleted.
    """
    standing(connection, job_id, fence)
    mine = (checkpoints.c.job_id == job_id) & (checkpoints.c.name == name)
    connection.execute(delete(checkpoints).where(mine))


def report_progress(
    connection: Connection, job_id: str, fence: int, done: float, total: float | None, message: str
) -> Standing:
    """Write how far a job is.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    values = {"of_job": job_id, "of_fence": fence, "done": done, "total": total, "message": storable(message, MAX_MESSAGE)}
    return _standing(connection.execute(_PROGRESS, values).one_or_none(), job_id, fence)


def standing(connection: Connection, job_id: str, fence: int) -> Standing:
    """Return whether a running job shall stop.

    Raises:
        LeaseLost: The fence is stale.
    """
    row = connection.execute(_HOLDS, {"of_job": job_id, "of_fence": fence}).one_or_none()
    return _standing(row, job_id, fence)


def _standing(row: Any, job_id: str, fence: int) -> Standing:
    if row is None:
        raise LeaseLost(f"job {job_id}: fence {fence} is stale")
    return Standing(row.cancel_requested_at is not None)
