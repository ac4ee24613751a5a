"""Deleting dead letters in small batches, with what they are found by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, select, tuple_

from perdure.ledger.dead_letters import writing
from perdure.ledger.dead_letters.find import matching
from perdure.ledger.now import now
from perdure.ledger.schema import (
    attempts,
    checkpoints,
    dead_letter_audit,
    dead_letter_groups,
    dead_letter_hours,
    dead_letter_tags,
    dead_letter_words,
    dead_letters,
    jobs,
)
from perdure.model.dead_letter import DISCARDED, REPLAYED, LetterFilter

#: Seconds that the hourly counts of a group are kept.
TREND_KEPT = 14 * 24 * 3600.0

# One at a time, by the key: SQLite reads the whole table to compare pairs with a list.
_DELETE_WORD = delete(dead_letter_words).where(
    dead_letter_words.c.word == bindparam("of_word"), dead_letter_words.c.letter_id == bindparam("of_letter")
)


def purge(connection: Connection, which: LetterFilter, page: int) -> int:
    """Delete the oldest letters that a filter means, and return how many there were; at most ``page``.

    Their jobs go when their own retention is over; what belongs to a job of another environment goes with its letter.
    """
    query = matching(connection, which, dead_letters, oldest_first=True)
    chosen = query.limit(page).with_for_update(of=dead_letters, skip_locked=True)
    return _delete(connection, [dict(row._mapping) for row in connection.execute(chosen)])


def _delete(connection: Connection, letters: Sequence[dict[str, Any]]) -> int:
    if not letters:
        return 0
    ids = [letter["id"] for letter in letters]
    words = [{"of_word": word, "of_letter": letter["id"]} for letter in letters for word in writing.words_of(letter)]
    if words:
        connection.execute(_DELETE_WORD, words)
    connection.execute(delete(dead_letter_tags).where(dead_letter_tags.c.letter_id.in_(ids)))
    connection.execute(delete(dead_letters).where(dead_letters.c.id.in_(ids)))
    _forget_orphans(connection, [letter["job_id"] for letter in letters if letter["job_id"]])
    writing.shift(connection, [(letter["fingerprint"], letter["status"], None) for letter in letters])
    return len(letters)


def resolved(connection: Connection, retention: float, page: int) -> int:
    """Delete a page of letters that were replayed or discarded, ``retention`` seconds after they were written.

    And as long after they were last dealt with: who has discarded an old letter by mistake has time to notice.
    """
    total, c, a = 0, dead_letters.c, dead_letter_audit.c
    dealt_with = exists().where(a.letter_id == c.id, a.letter_id.is_not(None), a.at >= now() - retention)
    for status in (REPLAYED, DISCARDED):
        settled = select(c.id).where(c.status == status, ~dealt_with)
        oldest = settled.order_by(c.id).limit(page)  # if these are young, all are
        chosen = select(dead_letters).where(c.id.in_(oldest), c.created_at < now() - retention)
        rows = connection.execute(chosen.with_for_update(skip_locked=True))
        total += _delete(connection, [dict(row._mapping) for row in rows])
    return total


def leftovers(connection: Connection, retention: float, page: int) -> int:
    """Delete a page of each: old hourly counts, old entries of the audit trail, groups that have no letters or note."""
    c = dead_letter_audit.c
    oldest = select(c.id).order_by(c.id).limit(page)  # if these are young, all are
    old = list(connection.execute(select(c.id).where(c.id.in_(oldest), c.at < now() - retention)).scalars())
    connection.execute(delete(dead_letter_audit).where(c.id.in_(old)))
    h = dead_letter_hours.c
    past = h.hour < (now() - TREND_KEPT) / writing.HOUR - 1
    hours = connection.execute(select(h.fingerprint, h.hour).where(past).limit(page)).all()
    if hours:
        connection.execute(
            delete(dead_letter_hours).where(tuple_(h.fingerprint, h.hour).in_([tuple(row) for row in hours]))
        )
    g = dead_letter_groups.c
    empty = (g.open == 0, g.replayed == 0, g.discarded == 0, g.note.is_(None), g.last_seen < now() - retention)
    groups = list(connection.execute(select(g.fingerprint).where(*empty).limit(page)).scalars())
    connection.execute(delete(dead_letter_groups).where(g.fingerprint.in_(groups), *empty))
    return len(old) + len(hours) + len(groups)


def _forget_orphans(connection: Connection, job_ids: Sequence[str]) -> None:
    if not job_ids:
        return
    known = set(connection.execute(select(jobs.c.id).where(jobs.c.id.in_(job_ids))).scalars())
    orphaned = [job_id for job_id in job_ids if job_id not in known]
    if orphaned:
        for table in (attempts, checkpoints):
            connection.execute(delete(table).where(table.c.job_id.in_(orphaned)))
