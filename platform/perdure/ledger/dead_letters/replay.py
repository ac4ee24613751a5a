"""Replaying and resolving dead letters: each letter's change, its group's counts and the audit entry commit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.errors import ReplayRefused
from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dead_letters import audit, writing
from perdure.ledger.dead_letters.read import get, locked
from perdure.ledger.dialects import DIALECTS, NOW, one_of, texts
from perdure.ledger.jobs.submit import submit
from perdure.model.dead_letter import DISCARDED, OPEN, REPLAYED, Actor
from perdure.model.new_job import NewJob, Submitted
from perdure.model.records import DeadLetterRecord
from perdure.model.states import JobState
from perdure.model.text.storable import MAX_REASON, storable, storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_MARK = {"of_letter": "text", "new_job": "text"}
_MARK_REPLAYED = {
    dialect: f"UPDATE perdure_dead_letters SET status = '{REPLAYED}', replayed_as = new_job, replayed_by = :who, "
    f"replayed_in = :bulk, replayed_at = {NOW[dialect]} FROM {rows_of(dialect, _MARK)} WHERE id = of_letter"
    for dialect in DIALECTS
}
_DISCARD = {
    dialect: f"UPDATE perdure_dead_letters SET status = '{DISCARDED}', resolved_reason = :why "
    f"WHERE {one_of(dialect, 'id', 'ids')}"
    for dialect in DIALECTS
}
_ANNOTATE = {
    dialect: f"UPDATE perdure_dead_letters SET note = :note, noted_by = :who, noted_at = {NOW[dialect]} "
    "WHERE id = :letter_id"
    for dialect in DIALECTS
}
_COPY_CHECKPOINTS = """
    INSERT INTO perdure_checkpoints (job_id, name, seq, fence, data, saved_at)
    SELECT CAST(:target AS text), name, seq, 0, data, saved_at FROM perdure_checkpoints WHERE job_id = :source
"""
_COPY_STEPS = """
    INSERT INTO perdure_steps (job_id, position, name, result, tries, fence, finished_at)
    SELECT CAST(:target AS text), position, name, result, tries, 0, finished_at FROM perdure_steps WHERE job_id = :source
"""
_REACHED = {
    dialect: "UPDATE perdure_jobs SET checkpoint_seq = "
    "(SELECT coalesce(max(seq), 0) FROM perdure_checkpoints WHERE job_id = :target), "
    f"checkpointed_at = {NOW[dialect]} WHERE id = :target"
    for dialect in DIALECTS
}


class Replay(Struct, frozen=True):
    """One letter to be replayed.

    Args:
        letter_id: The letter.
        new: The job to be written in its place.
        changes: What is different from the letter, for the audit trail.
        from_checkpoint: Whether the new job begins where the dead one's checkpoints are.
    """

    letter_id: str
    new: NewJob
    changes: dict[str, Any] | None = None
    from_checkpoint: bool = False


class Replayed(Struct, frozen=True):
    """What became of a letter that was to be replayed: a new job, or the one of an earlier replay."""

    submitted: Submitted
    is_new: bool


def replay(
    connection: Where,
    items: Sequence[Replay],
    actor: Actor,
    *,
    batch: str | None = None,
    force: bool = False,
    release: str | None = None,
) -> list[Replayed]:
    """Write a new job in place of each letter and return what became of each, in their order.

    A letter that was replayed before returns the job of then, unless ``force``.

    Args:
        connection: A connection in a transaction.
        items: What to replay.
        actor: Who does it, from where.
        batch: The bulk replay that it is part of; a letter is replayed once in it, also with ``force``.
        force: Replay letters that were replayed or discarded before.
        release: The application's release, under which they are dealt with; None if it is not known.

    Raises:
        DeadLetterNotFound: There is no such letter; nothing was written.
        ReplayRefused: A letter was discarded; nothing was written.
    """
    letters = locked(connection, [item.letter_id for item in items])
    results: dict[str, Replayed] = {}
    fresh: list[Replay] = []
    for item in items:
        before = _replayed_before(letters[item.letter_id], item, batch, force=force)
        if before is None:
            fresh.append(item)
        else:
            results[item.letter_id] = before
    for item, submitted in zip(fresh, submit(connection, [item.new for item in fresh]), strict=True):
        results[item.letter_id] = Replayed(submitted, is_new=True)
    if fresh:
        moved = [(letters[item.letter_id].fingerprint, letters[item.letter_id].status, REPLAYED) for item in fresh]
        _mark(connection, fresh, letters, actor, batch)
        writing.shift(connection, moved, release)
    return [results[item.letter_id] for item in items]


def discard(
    connection: Where, letter_ids: Sequence[str], reason: str, actor: Actor, release: str | None = None
) -> list[str]:
    """Mark letters as not to be replayed and return the ids of those that were not before.

    Raises:
        DeadLetterNotFound: There is no such letter; nothing was written.
    """
    dialect = connection.dialect.name
    changed = [letter for letter in locked(connection, letter_ids).values() if letter.status != DISCARDED]
    if changed:
        ids = texts(dialect, [letter.id for letter in changed])
        why = storable(f"{reason} (by {actor.who})", MAX_REASON)
        direct.run(connection, _DISCARD[dialect], {"ids": ids, "why": why})
        entries = [
            {"letter_id": letter.id, "fingerprint": letter.fingerprint, "reason": reason, "was": letter.status}
            for letter in changed
        ]
        audit.record(connection, actor, "discard", entries)
        writing.shift(connection, [(letter.fingerprint, letter.status, DISCARDED) for letter in changed], release)
    return [letter.id for letter in changed]


def annotate(connection: Where, letter_id: str, note: str | None, actor: Actor) -> DeadLetterRecord:
    """Set or remove a letter's note and return the letter.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    [letter] = locked(connection, [letter_id]).values()
    values = {"letter_id": letter_id, "note": storable(note, MAX_REASON), "who": storable_name(actor.who)}
    direct.run(connection, _ANNOTATE[connection.dialect.name], values)
    entry = {"letter_id": letter_id, "fingerprint": letter.fingerprint, "note": note or ""}
    audit.record(connection, actor, "note", [entry])
    return get(connection, letter_id)


def _replayed_before(letter: DeadLetterRecord, item: Replay, batch: str | None, *, force: bool) -> Replayed | None:
    if letter.replayed_as == item.new.id:  # the repeat after a commit whose outcome was unknown
        return Replayed(Submitted(item.new.id, JobState.QUEUED), is_new=True)
    if force and (batch is None or letter.replayed_in != batch):
        return None
    if letter.replayed_as is not None:
        return Replayed(Submitted(letter.replayed_as, JobState.QUEUED, deduplicated=True), is_new=False)
    if letter.status == DISCARDED:
        raise ReplayRefused(
            f"dead letter {letter.id} was discarded: {letter.resolved_reason}. To replay it all the same, use force "
            "(on the command line: --force)"
        )
    return None


def _mark(
    connection: Where,
    items: Sequence[Replay],
    letters: dict[str, DeadLetterRecord],
    actor: Actor,
    batch: str | None,
) -> None:
    marks = encoded([{"of_letter": item.letter_id, "new_job": item.new.id} for item in items])
    values = {**marks, "who": storable_name(actor.who), "bulk": batch}
    direct.run(connection, _MARK_REPLAYED[connection.dialect.name], values)
    for item in items:
        letter = letters[item.letter_id]
        if item.from_checkpoint and letter.checkpoint_seq and letter.job_id:
            _copy_checkpoints(connection, letter.job_id, item.new.id)
    entries = [
        {
            "letter_id": item.letter_id,
            "fingerprint": letters[item.letter_id].fingerprint,
            "job_id": item.new.id,
            "changes": item.changes or None,
            "from_checkpoint": item.from_checkpoint or None,
            "was": letters[item.letter_id].status if letters[item.letter_id].status != OPEN else None,
            "bulk": batch,
        }
        for item in items
    ]
    audit.record(connection, actor, "replay", entries)


def _copy_checkpoints(connection: Where, source: str, target: str) -> None:
    for statement in (_COPY_CHECKPOINTS, _COPY_STEPS, _REACHED[connection.dialect.name]):
        direct.run(connection, statement, {"source": source, "target": target})
