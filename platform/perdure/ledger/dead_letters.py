"""Dead letters: jobs and messages that were given up, waiting for somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, insert, literal, select, update

from perdure.errors import DeadLetterNotFound
from perdure.ledger import letter_audit, letter_groups, letter_tags
from perdure.ledger.conditions import insert_ignoring, made_since
from perdure.ledger.letter_filters import LetterFilters
from perdure.ledger.now import now
from perdure.ledger.records import DeadLetterRecord, NewJob, Submitted
from perdure.ledger.schema import checkpoints, dead_letter_tags, dead_letters, jobs
from perdure.ledger.submit import submit
from perdure.ledger.text import MAX_ERROR, MAX_REASON, storable, storable_name
from perdure.states import JobState

OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"


def get(connection: Connection, letter_id: str, *, lock: bool = False) -> DeadLetterRecord:
    """Return a dead letter; ``lock`` keeps others from changing it until the transaction ends.

    Raises:
        DeadLetterNotFound: There is none of that id.
    """
    query = select(dead_letters).where(dead_letters.c.id == letter_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise DeadLetterNotFound(f"no dead letter {letter_id!r} in the ledger. List them: perdure dead list")
    return DeadLetterRecord.of(row._mapping)


def listing(
    connection: Connection,
    filters: LetterFilters,
    *,
    limit: int = 100,
    after: str | None = None,
    oldest_first: bool = False,
) -> list[DeadLetterRecord]:
    """Return dead letters, the newest first; ``after`` is the id of the last one of the page before."""
    query = _matching(filters)
    key = dead_letters.c.id
    if after is not None:
        query = query.where(key > after if oldest_first else key < after)
    rows = connection.execute(query.order_by(key.asc() if oldest_first else key.desc()).limit(limit))
    return [DeadLetterRecord.of(row._mapping) for row in rows]


def count(connection: Connection, filters: LetterFilters) -> int:
    """Return how many dead letters match."""
    return connection.execute(select(func.count()).select_from(_matching(filters).subquery())).scalar_one()


def _matching(filters: LetterFilters) -> Select[Any]:
    c = dead_letters.c
    query = select(dead_letters)
    if filters.tag is not None:
        tags = dead_letter_tags.c
        # Uncorrelated, so that the rare tag is looked up first and once.
        ids = select(tags.letter_id).where(tags.tag == filters.tag[0], tags.value == filters.tag[1])
        query = query.where(c.id.in_(ids))
    equal = {
        "task": filters.task,
        "bulkhead": filters.bulkhead,
        "error_type": filters.error,
        "fingerprint": filters.fingerprint,
        "reason": filters.reason,
        "status": filters.status,
        "breaker": filters.breaker,
    }
    query = query.where(*(c[name] == value for name, value in equal.items() if value is not None))
    if filters.text is not None:
        contained = {"other": filters.text, "autoescape": True}
        query = query.where(c.error.icontains(**contained) | c.args.icontains(**contained))
    if filters.since is not None:
        query = query.where(*made_since(c.id, c.created_at, filters.since))
    if filters.until is not None:
        query = query.where(c.created_at < filters.until)
    if filters.up_to is not None:
        query = query.where(c.id <= filters.up_to)
    return query


def newest(connection: Connection) -> str | None:
    """Return the id of the newest letter."""
    found: str | None = connection.execute(select(func.max(dead_letters.c.id))).scalar_one()
    return found


def quarantine(connection: Connection, letter: dict[str, Any]) -> None:
    """Write a dead letter for a broker message that names no job that can run."""
    cleaned = {name: storable(value, MAX_ERROR) if isinstance(value, str) else value for name, value in letter.items()}
    written = insert_ignoring(dead_letters, connection.dialect.name).values(**cleaned, status=OPEN, created_at=now())
    if (
        connection.execute(written.returning(dead_letters.c.id)).first() is not None
    ):  # else a repeat after a commit in doubt
        letter_groups.seen(connection, cleaned)


def replay(
    connection: Connection,
    letter_id: str,
    new: NewJob,
    by: str,
    *,
    force: bool,
    from_checkpoint: bool = False,
    diff: Mapping[str, Any] | None = None,
) -> tuple[Submitted, bool]:
    """Write a new job in place of a dead letter, and return it and whether it is new.

    A letter that was replayed before returns the job of then, unless ``force``.

    Args:
        connection: A connection in a transaction.
        letter_id: The letter.
        new: The job.
        by: Who replays.
        force: Make a new job even if the letter was replayed before.
        from_checkpoint: Give the new job what the dead one had saved.
        diff: What the new job's arguments differ in from the letter's.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    letter = get(connection, letter_id, lock=True)
    if letter.replayed_as == new.id:
        return Submitted(new.id, JobState.QUEUED), True  # a repeat after a commit in doubt
    if letter.replayed_as is not None and not force:
        return Submitted(letter.replayed_as, JobState.QUEUED, deduplicated=True), False
    [submitted] = submit(connection, [new])
    if from_checkpoint and letter.job_id is not None:
        _copy_checkpoints(connection, letter.job_id, new.id)
    replayed = {"status": REPLAYED, "replayed_as": submitted.id, "replayed_by": storable_name(by), "replayed_at": now()}
    _mark(connection, letter_id, **replayed, replay_diff=msgspec.json.encode(diff).decode() if diff else None)
    details = {"job": submitted.id, "diff": diff, "bulkhead": new.bulkhead, "from_checkpoint": from_checkpoint}
    letter_audit.write(
        connection, "replay", by, letter_id=letter_id, fingerprint=letter.fingerprint, details=details | {"force": force}
    )
    return submitted, True


def discard(connection: Connection, letter_id: str, reason: str, by: str) -> DeadLetterRecord:
    """Mark a letter as not to be replayed and return it.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    letter = get(connection, letter_id, lock=True)
    _mark(connection, letter_id, status=DISCARDED, resolved_reason=storable(f"{reason} (by {by})", MAX_REASON))
    letter_audit.write(
        connection, "discard", by, letter_id=letter_id, fingerprint=letter.fingerprint, details={"reason": reason}
    )
    return get(connection, letter_id)


def note(connection: Connection, letter_id: str, text: str, by: str) -> DeadLetterRecord:
    """Write what is known of a letter and return it.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    letter = get(connection, letter_id, lock=True)
    _mark(connection, letter_id, note=storable(text, MAX_REASON))
    letter_audit.write(connection, "note", by, letter_id=letter_id, fingerprint=letter.fingerprint, details={"note": text})
    return get(connection, letter_id)


def write_imported(connection: Connection, row: Mapping[str, Any], by: str) -> bool:
    """Write a letter of another ledger as an open one; False when it is here already."""
    written = insert_ignoring(dead_letters, connection.dialect.name).values(**row, status=OPEN)
    if connection.execute(written.returning(dead_letters.c.id)).first() is None:
        return False
    letter_tags.write(connection, row["id"], row["tags"])
    letter_groups.seen(connection, row)
    letter_audit.write(connection, "import", by, letter_id=row["id"], fingerprint=row["fingerprint"])
    return True


def purge(connection: Connection, filters: LetterFilters, by: str, page: int) -> int:
    """Delete a page of letters and return how many it was; the trail remembers each."""
    found = listing(connection, filters, limit=page)
    ids = [letter.id for letter in found]
    if ids:
        connection.execute(dead_letter_tags.delete().where(dead_letter_tags.c.letter_id.in_(ids)))
        connection.execute(dead_letters.delete().where(dead_letters.c.id.in_(ids)))
        for letter in found:
            about = {"letter_id": letter.id, "fingerprint": letter.fingerprint}
            details = {"task": letter.task, "status": letter.status, "job": letter.job_id}
            letter_audit.write(connection, "purge", by, **about, details=details)
    return len(ids)


def _mark(connection: Connection, letter_id: str, **values: Any) -> None:
    connection.execute(update(dead_letters).where(dead_letters.c.id == letter_id).values(**values))


def _copy_checkpoints(connection: Connection, of_job: str, to_job: str) -> None:
    c = checkpoints.c
    rows = select(literal(to_job), c.name, c.seq, literal(0), c.data, c.saved_at).where(c.job_id == of_job)
    connection.execute(insert(checkpoints).from_select(["job_id", "name", "seq", "fence", "data", "saved_at"], rows))
    reached = select(jobs.c.checkpoint_seq).where(jobs.c.id == of_job)
    seq = connection.execute(reached).scalar_one_or_none()
    if seq is not None:
        connection.execute(update(jobs).where(jobs.c.id == to_job).values(checkpoint_seq=seq))
