"""Checkpoints in the ledger: fenced by the job's claim, the newest two of each name kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, delete, func, select, update

from perdure.errors import CommitWasInDoubt, LeaseLost
from perdure.ledger.conditions import state_is
from perdure.ledger.hot import ONLY, hot
from perdure.ledger.now import now
from perdure.ledger.schema import checkpoints, jobs
from perdure.model.clock import to_datetime
from perdure.model.states import JobState
from perdure.model.text.storable import storable

#: Longest message of progress that is kept, in characters.
MAX_MESSAGE = 1_000

#: What to write, or what makes it of the sequence number that the save gets.
Frame = bytes | Callable[[int], bytes]

HELD = (jobs.c.id == bindparam("of_job"), jobs.c.fence == bindparam("of_fence"), state_is(JobState.RUNNING))

_ADVANCE = (
    update(jobs)
    .with_hint(**ONLY)
    .where(*HELD)
    .where(jobs.c.checkpoint_seq == func.coalesce(bindparam("expected", type_=Integer), jobs.c.checkpoint_seq))
    .values(checkpoint_seq=jobs.c.checkpoint_seq + 1, checkpointed_at=now())
    .returning(jobs.c.checkpoint_seq, jobs.c.cancel_requested_at)
)

_VALUES: dict[str, Any] = {
    **{name: bindparam(name) for name in ("job_id", "name", "seq", "fence", "data")},
    "saved_at": now(),
}

_INSERT = checkpoints.insert().values(_VALUES)

_DROP_OLDER = delete(checkpoints).where(
    checkpoints.c.job_id == bindparam("of_job"),
    checkpoints.c.name == bindparam("of_name"),
    checkpoints.c.seq < bindparam("kept_from"),
)

_VERSIONS = (
    select(checkpoints.c.seq, checkpoints.c.fence, checkpoints.c.data, checkpoints.c.saved_at)
    .where(checkpoints.c.job_id == bindparam("of_job"), checkpoints.c.name == bindparam("of_name"))
    .order_by(checkpoints.c.fence.desc(), checkpoints.c.seq.desc())
)

_PROGRESS = (
    update(jobs)
    .with_hint(**ONLY)
    .where(*HELD)
    .values(
        progress_done=bindparam("done"),
        progress_total=bindparam("total"),
        progress_message=bindparam("message"),
        progress_at=now(),
    )
    .returning(jobs.c.cancel_requested_at)
)

_HOLDS = hot(select(jobs.c.cancel_requested_at).where(*HELD))


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


def advance(connection: Connection, job_id: str, fence: int, expected: int | None = None) -> tuple[int, Standing]:
    """Give a running job the next sequence number of its checkpoints.

    Args:
        connection: A connection.
        job_id: The running job.
        fence: Its claim's fence.
        expected: The number that the job believes to be the last; None when that does not matter.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
        CommitWasInDoubt: The last number is another one.
    """
    values = {"of_job": job_id, "of_fence": fence, "expected": expected}
    row = connection.execute(_ADVANCE, values).one_or_none()
    if row is None:
        if expected is not None:
            standing(connection, job_id, fence)
            raise CommitWasInDoubt(
                f"job {job_id}: a commit of this attempt that seemed to fail did happen; its state in memory is older "
                "than its checkpoint. Nothing was written; the next attempt goes on from the checkpoint"
            )
        raise LeaseLost(f"job {job_id}: fence {fence} is stale; the checkpoint was not written")
    return row.checkpoint_seq, Standing(row.cancel_requested_at is not None)


def save(
    connection: Connection,
    job_id: str,
    fence: int,
    name: str,
    data: Frame,
    previous_seq: int,
    expected: int | None = None,
) -> tuple[int, Standing]:
    """Write a checkpoint and return its sequence number.

    Args:
        connection: A connection in a transaction.
        job_id: The running job.
        fence: Its claim's fence.
        name: Which of the job's checkpoints.
        data: What to write.
        previous_seq: The version to keep besides this one.
        expected: See :func:`advance`.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    seq, standing_now = advance(connection, job_id, fence, expected)
    frame = data if isinstance(data, bytes) else data(seq)
    values = {"job_id": job_id, "name": name, "seq": seq, "fence": fence, "data": frame}
    connection.execute(_INSERT, values)
    connection.execute(_DROP_OLDER, {"of_job": job_id, "of_name": name, "kept_from": previous_seq})
    return seq, standing_now


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


def report_progress(
    connection: Connection, job_id: str, fence: int, done: float, total: float | None, message: str
) -> Standing:
    """Write how far a job is.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    values = {"of_job": job_id, "of_fence": fence, "done": done, "total": total, "message": storable(message, MAX_MESSAGE)}
    return _standing(connection.execute(_PROGRESS, values).one_or_none(), job_id, fence)


def standing(connection: Connection, job_id: str, fence: int, *, lock: bool = False) -> Standing:
    """Return whether a running job shall stop; ``lock`` keeps its fence as it is until the transaction ends.

    Raises:
        LeaseLost: The fence is stale.
    """
    query = _HOLDS.with_for_update() if lock else _HOLDS
    row = connection.execute(query, {"of_job": job_id, "of_fence": fence}).one_or_none()
    return _standing(row, job_id, fence)


def _standing(row: Any, job_id: str, fence: int) -> Standing:
    if row is None:
        raise LeaseLost(f"job {job_id}: fence {fence} is stale")
    return Standing(row.cancel_requested_at is not None)
