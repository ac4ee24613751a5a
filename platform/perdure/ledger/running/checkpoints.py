"""Checkpoints in the ledger: fenced by the job's claim, the newest two of each name kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.errors import CommitWasInDoubt, LeaseLost
from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, HOT, NOW
from perdure.ledger.jobs.states import state_is
from perdure.model.clock import to_datetime
from perdure.model.states import JobState
from perdure.model.text.storable import storable

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Longest message of progress that is kept, in characters.
MAX_MESSAGE = 1_000

#: What to write, or what makes it of the sequence number that the save gets.
Frame = bytes | Callable[[int], bytes]

_HELD = f"id = :of_job AND fence = :of_fence AND {state_is(JobState.RUNNING)}"

_ADVANCE = {
    dialect: f"UPDATE {HOT[dialect]} SET checkpoint_seq = checkpoint_seq + 1, checkpointed_at = {NOW[dialect]} "
    f"WHERE {_HELD} AND checkpoint_seq = coalesce(CAST(:expected AS bigint), checkpoint_seq) "
    "RETURNING checkpoint_seq, cancel_requested_at"
    for dialect in DIALECTS
}
#: A version of a checkpoint.
INSERT = {
    dialect: "INSERT INTO perdure_checkpoints (job_id, name, fence, seq, data, saved_at) "
    f"VALUES (:of_job, :of_name, :of_fence, :of_seq, :data, {NOW[dialect]})"
    for dialect in DIALECTS
}
_DROP_OLDER = "DELETE FROM perdure_checkpoints WHERE job_id = :of_job AND name = :of_name AND seq < :kept_from"
_VERSIONS = """
    SELECT seq, fence, data, saved_at FROM perdure_checkpoints WHERE job_id = :of_job AND name = :of_name
    ORDER BY fence DESC, seq DESC
"""
_REACHED = "SELECT name, seq, length(data), saved_at FROM perdure_checkpoints WHERE job_id = :of_job ORDER BY name, seq"
_PROGRESS = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET progress_done = :done, progress_total = :total, progress_message = :message,
        progress_at = {NOW[dialect]}
    WHERE {_HELD} RETURNING cancel_requested_at
    """
    for dialect in DIALECTS
}
_HOLDS = {dialect: f"SELECT cancel_requested_at FROM {HOT[dialect]} WHERE {_HELD}" for dialect in DIALECTS}
_LOCKS = {dialect: f"{query} {FOR_UPDATE[dialect]}" for dialect, query in _HOLDS.items()}


class StoredCheckpoint(Struct, frozen=True):
    """One version of a checkpoint as stored."""

    seq: int
    fence: int
    data: bytes
    saved_at: float


class Standing(Struct, frozen=True):
    """What a running job learns when it writes: that it still holds its lease, and whether it shall stop."""

    cancel_requested: bool


def advance(connection: Where, job_id: str, fence: int, expected: int | None = None) -> tuple[int, Standing]:
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
    found = direct.rows(connection, _ADVANCE[connection.dialect.name], values)
    if not found:
        if expected is not None:
            standing(connection, job_id, fence)
            raise CommitWasInDoubt(
                f"job {job_id}: a commit of this attempt that seemed to fail did happen; its state in memory is older "
                "than its checkpoint. Nothing was written; the next attempt goes on from the checkpoint"
            )
        raise LeaseLost(f"job {job_id}: fence {fence} is stale; the checkpoint was not written")
    [(seq, cancel_requested_at)] = found
    return seq, Standing(cancel_requested_at is not None)


def save(
    connection: Where,
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
    place = {"of_job": job_id, "of_name": name}
    direct.run(connection, INSERT[connection.dialect.name], {**place, "of_fence": fence, "of_seq": seq, "data": frame})
    direct.run(connection, _DROP_OLDER, {**place, "kept_from": previous_seq})
    return seq, standing_now


def load(connection: Where, job_id: str, name: str) -> list[StoredCheckpoint]:
    """Return the kept versions of a checkpoint, the newest first."""
    found = direct.rows(connection, _VERSIONS, {"of_job": job_id, "of_name": name})
    return [StoredCheckpoint(seq, fence, bytes(data), saved_at) for seq, fence, data, saved_at in found]


def reached(connection: Where, job_id: str) -> list[dict[str, Any]]:
    """Return the newest version of each checkpoint of a job: ``name``, ``seq``, ``bytes`` and ``saved_at``."""
    newest = {
        name: {"name": name, "seq": seq, "bytes": size, "saved_at": to_datetime(saved_at)}
        for name, seq, size, saved_at in direct.rows(connection, _REACHED, {"of_job": job_id})
    }
    return list(newest.values())


def report_progress(connection: Where, job_id: str, fence: int, done: float, total: float | None, message: str) -> Standing:
    """Write how far a job is.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    values = {"of_job": job_id, "of_fence": fence, "done": done, "total": total, "message": storable(message, MAX_MESSAGE)}
    return _standing(direct.rows(connection, _PROGRESS[connection.dialect.name], values), job_id, fence)


def standing(connection: Where, job_id: str, fence: int, *, lock: bool = False) -> Standing:
    """Return whether a running job shall stop; ``lock`` keeps its fence as it is until the transaction ends.

    Raises:
        LeaseLost: The fence is stale.
    """
    query = (_LOCKS if lock else _HOLDS)[connection.dialect.name]
    return _standing(direct.rows(connection, query, {"of_job": job_id, "of_fence": fence}), job_id, fence)


def _standing(found: Sequence[Any], job_id: str, fence: int) -> Standing:
    if not found:
        raise LeaseLost(f"job {job_id}: fence {fence} is stale")
    [(cancel_requested_at,)] = found
    return Standing(cancel_requested_at is not None)
