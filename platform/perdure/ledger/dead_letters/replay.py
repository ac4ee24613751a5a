"""Replaying and resolving dead letters: each letter's change, its group's counts and the audit entry commit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, literal, select, update

from perdure.errors import ReplayRefused
from perdure.ledger.dead_letters import audit, writing
from perdure.ledger.dead_letters.find import get, not_found
from perdure.ledger.jobs.submit import submit
from perdure.ledger.now import now
from perdure.ledger.schema import checkpoints, dead_letters, jobs, steps
from perdure.model.dead_letter import DISCARDED, OPEN, REPLAYED, Actor
from perdure.model.new_job import NewJob, Submitted
from perdure.model.records import DeadLetterRecord
from perdure.model.states import JobState
from perdure.model.text.storable import MAX_REASON, storable, storable_name

_C = dead_letters.c
_MARK_REPLAYED = (
    update(dead_letters)
    .where(_C.id == bindparam("of_letter"))
    .values(
        status=REPLAYED,
        replayed_as=bindparam("new_job"),
        replayed_by=bindparam("who"),
        replayed_in=bindparam("batch"),
        replayed_at=now(),
    )
)


@dataclass(frozen=True, slots=True)
class Replay:
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


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a letter that was to be replayed: a new job, or the one of an earlier replay."""

    submitted: Submitted
    is_new: bool


def replay(
    connection: Connection,
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
    letters = _locked(connection, [item.letter_id for item in items])
    results: dict[str, Replayed] = {}
    fresh: list[Replay] = []
    for item in items:
        letter = letters.get(item.letter_id)
        if letter is None:
            raise not_found(item.letter_id)
        before = _replayed_before(letter, item, batch, force=force)
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
    connection: Connection, letter_ids: Sequence[str], reason: str, actor: Actor, release: str | None = None
) -> list[str]:
    """Mark letters as not to be replayed and return the ids of those that were not before.

    Raises:
        DeadLetterNotFound: There is no such letter; nothing was written.
    """
    letters = _locked(connection, letter_ids)
    for letter_id in letter_ids:
        if letter_id not in letters:
            raise not_found(letter_id)
    changed = [letter for letter in letters.values() if letter.status != DISCARDED]
    if changed:
        why = storable(f"{reason} (by {actor.who})", MAX_REASON)
        ids = [letter.id for letter in changed]
        connection.execute(update(dead_letters).where(_C.id.in_(ids)).values(status=DISCARDED, resolved_reason=why))
        entries = [
            {"letter_id": letter.id, "fingerprint": letter.fingerprint, "reason": reason, "was": letter.status}
            for letter in changed
        ]
        audit.record(connection, actor, "discard", entries)
        writing.shift(connection, [(letter.fingerprint, letter.status, DISCARDED) for letter in changed], release)
    return [letter.id for letter in changed]


def annotate(connection: Connection, letter_id: str, note: str | None, actor: Actor) -> DeadLetterRecord:
    """Set or remove a letter's note and return the letter.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    letter = get(connection, letter_id, lock=True)
    values = {"note": storable(note, MAX_REASON), "noted_by": storable_name(actor.who), "noted_at": now()}
    connection.execute(update(dead_letters).where(_C.id == letter_id).values(values))
    entry = {"letter_id": letter_id, "fingerprint": letter.fingerprint, "note": note or ""}
    audit.record(connection, actor, "note", [entry])
    return get(connection, letter_id)


def _locked(connection: Connection, letter_ids: Sequence[str]) -> dict[str, DeadLetterRecord]:
    query = select(dead_letters).where(_C.id.in_(letter_ids)).order_by(_C.id).with_for_update()
    letters = [DeadLetterRecord.of(row._mapping) for row in connection.execute(query)]
    return {letter.id: letter for letter in letters}


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
    connection: Connection,
    items: Sequence[Replay],
    letters: dict[str, DeadLetterRecord],
    actor: Actor,
    batch: str | None,
) -> None:
    who = storable_name(actor.who)
    marks = [{"of_letter": i.letter_id, "new_job": i.new.id, "who": who, "batch": batch} for i in items]
    connection.execute(_MARK_REPLAYED, marks)
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


def _copy_checkpoints(connection: Connection, source: str, target: str) -> None:
    c = checkpoints.c
    kept = select(literal(target), c.name, c.seq, literal(0), c.data, c.saved_at).where(c.job_id == source)
    connection.execute(insert(checkpoints).from_select(["job_id", "name", "seq", "fence", "data", "saved_at"], kept))
    s = steps.c
    done = select(literal(target), s.position, s.name, s.result, s.tries, literal(0), s.finished_at).where(
        s.job_id == source
    )
    columns = ["job_id", "position", "name", "result", "tries", "fence", "finished_at"]
    connection.execute(insert(steps).from_select(columns, done))
    newest = select(func.coalesce(func.max(c.seq), 0)).where(c.job_id == target).scalar_subquery()
    connection.execute(update(jobs).where(jobs.c.id == target).values(checkpoint_seq=newest, checkpointed_at=now()))
