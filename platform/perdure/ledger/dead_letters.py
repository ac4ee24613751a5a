"""Dead letters: jobs and messages that were given up, waiting for somebody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from perdure.clock import to_datetime
from perdure.errors import DeadLetterNotFound
from perdure.ledger.conditions import made_since
from perdure.ledger.now import now
from perdure.ledger.records import DeadLetterRecord, NewJob, Submitted
from perdure.ledger.schema import dead_letters
from perdure.ledger.submit import submit
from perdure.ledger.text import MAX_ERROR, MAX_REASON, storable, storable_name
from perdure.states import JobState

OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of the same fault."""

    fingerprint: str
    task: str
    error_type: str | None
    error: str | None
    count: int
    open: int
    first_seen: datetime | None
    last_seen: datetime | None


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
    *,
    task: str | None = None,
    error: str | None = None,
    fingerprint: str | None = None,
    status: str | None = None,
    since: float | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[DeadLetterRecord]:
    """Return dead letters, the newest first; ``after`` is the id of the last one of the page before."""
    query = select(dead_letters)
    wanted = {"task": task, "fingerprint": fingerprint, "status": status, "error_type": error}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(dead_letters.c[name] == value)
    if since is not None:
        query = query.where(*made_since(dead_letters.c.id, dead_letters.c.created_at, since))
    if after is not None:
        query = query.where(dead_letters.c.id < after)
    rows = connection.execute(query.order_by(dead_letters.c.id.desc()).limit(limit))
    return [DeadLetterRecord.of(row._mapping) for row in rows]


def groups(connection: Connection, limit: int) -> list[DeadLetterGroup]:
    """Return the faults with the most letters, with their counts and times."""
    c = dead_letters.c
    count = func.count().label("count")
    query = (
        select(
            c.fingerprint,
            func.max(c.task).label("task"),
            func.max(c.error_type).label("error_type"),
            func.max(c.error).label("error"),
            count,
            func.count().filter(c.status == OPEN).label("open"),
            func.min(c.created_at).label("first_seen"),
            func.max(c.created_at).label("last_seen"),
        )
        .group_by(c.fingerprint)
        .order_by(count.desc())
        .limit(limit)
    )
    return [_group(row) for row in connection.execute(query)]


def mark(connection: Connection, letter_id: str, **values: Any) -> None:
    """Set columns of a dead letter."""
    connection.execute(update(dead_letters).where(dead_letters.c.id == letter_id).values(**values))


def mark_replayed(connection: Connection, letter_id: str, job_id: str, by: str) -> None:
    """Record who replayed a dead letter, when, and as which job."""
    mark(connection, letter_id, status=REPLAYED, replayed_as=job_id, replayed_by=storable_name(by), replayed_at=now())


def quarantine(connection: Connection, letter: dict[str, Any]) -> None:
    """Write a dead letter for a broker message that names no job that can run."""
    cleaned = {name: storable(value, MAX_ERROR) if isinstance(value, str) else value for name, value in letter.items()}
    connection.execute(dead_letters.insert().values(**cleaned, status=OPEN, created_at=now()))


def _group(row: Any) -> DeadLetterGroup:
    values: dict[str, Any] = dict(row._mapping)
    times = {name: to_datetime(values[name]) for name in ("first_seen", "last_seen")}
    return DeadLetterGroup(**(values | times))


def replay(connection: Connection, letter_id: str, new: NewJob, by: str, *, force: bool) -> tuple[Submitted, bool]:
    """Write a new job in place of a dead letter, and return it and whether it is new.

    A letter that was replayed before returns the job of then, unless ``force``.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    letter = get(connection, letter_id, lock=True)
    if letter.replayed_as not in (None, new.id) and not force:
        return Submitted(letter.replayed_as, JobState.QUEUED, deduplicated=True), False
    [submitted] = submit(connection, [new])
    mark_replayed(connection, letter_id, submitted.id, by)
    return submitted, True


def discard(connection: Connection, letter_id: str, reason: str, by: str) -> DeadLetterRecord:
    """Mark a letter as not to be replayed and return it.

    Raises:
        DeadLetterNotFound: There is no such letter.
    """
    get(connection, letter_id, lock=True)
    mark(connection, letter_id, status=DISCARDED, resolved_reason=storable(f"{reason} (by {by})", MAX_REASON))
    return get(connection, letter_id)
