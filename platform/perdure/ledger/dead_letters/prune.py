"""Deleting dead letters, with what they are found by, and what is left of them later, in small batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.ledger import direct
from perdure.ledger.dead_letters import writing
from perdure.ledger.dialects import DIALECTS, NOW, SKIP_LOCKED, one_of, texts
from perdure.model.dead_letter import DISCARDED, REPLAYED

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Seconds that the hourly counts of a group are kept.
TREND_KEPT = 14 * 24 * 3600.0

#: What is to be known of a letter to delete it.
NEEDED = ("id", "job_id", "fingerprint", "status", "task", "error_type", "error", "args", "kwargs", "raw")
# The oldest alone are looked at: if these are young, all are.
_RESOLVED = {
    dialect: f"""
    SELECT {", ".join(NEEDED)} FROM perdure_dead_letters
    WHERE created_at < {NOW[dialect]} - :retention AND id IN (
        SELECT d.id FROM perdure_dead_letters d
        WHERE d.status = :status AND NOT EXISTS (
            SELECT 1 FROM perdure_dead_letter_audit a
            WHERE a.letter_id = d.id AND a.letter_id IS NOT NULL AND a.at >= {NOW[dialect]} - :retention
        )
        ORDER BY d.id LIMIT :page
    ) {SKIP_LOCKED[dialect]}
    """
    for dialect in DIALECTS
}
# Letter by letter: SQLite reads the whole table to compare pairs with a list.
_DELETE_WORDS = {
    dialect: f"DELETE FROM perdure_dead_letter_words WHERE letter_id = :letter AND {one_of(dialect, 'word', 'words')}"
    for dialect in DIALECTS
}
_DELETE = {
    dialect: [
        f"DELETE FROM perdure_dead_letter_tags WHERE {one_of(dialect, 'letter_id', 'ids')}",
        f"DELETE FROM perdure_dead_letters WHERE {one_of(dialect, 'id', 'ids')}",
    ]
    for dialect in DIALECTS
}
_JOBS = {dialect: f"SELECT id FROM perdure_jobs WHERE {one_of(dialect, 'id', 'ids')}" for dialect in DIALECTS}
_DELETE_OF_JOBS = {
    dialect: [
        f"DELETE FROM {table} WHERE {one_of(dialect, 'job_id', 'ids')}"
        for table in ("perdure_attempts", "perdure_checkpoints")
    ]
    for dialect in DIALECTS
}


def _leftovers(dialect: str) -> list[str]:
    old = f"< {NOW[dialect]} - :retention"
    past = f"hour < ({NOW[dialect]} - {TREND_KEPT}) / {writing.HOUR} - 1"
    empty = f"open = 0 AND replayed = 0 AND discarded = 0 AND note IS NULL AND last_seen {old}"
    return [
        f"""
        DELETE FROM perdure_dead_letter_audit
        WHERE at {old} AND id IN (SELECT id FROM perdure_dead_letter_audit ORDER BY id LIMIT :page) RETURNING 1
        """,
        f"""
        DELETE FROM perdure_dead_letter_hours WHERE (fingerprint, hour) IN (
            SELECT fingerprint, hour FROM perdure_dead_letter_hours WHERE {past} LIMIT :page
        ) RETURNING 1
        """,
        f"""
        DELETE FROM perdure_dead_letter_groups
        WHERE {empty} AND fingerprint IN (SELECT fingerprint FROM perdure_dead_letter_groups WHERE {empty} LIMIT :page)
        RETURNING 1
        """,
    ]


_LEFTOVERS = {dialect: _leftovers(dialect) for dialect in DIALECTS}


def resolved(connection: Where, retention: float, page: int) -> int:
    """Delete a page of letters that were replayed or discarded, ``retention`` seconds after they were written.

    And as long after they were last dealt with: who has discarded an old letter by mistake has time to notice.
    """
    total, which = 0, {"retention": retention, "page": page}
    for status in (REPLAYED, DISCARDED):
        rows = direct.rows(connection, _RESOLVED[connection.dialect.name], {**which, "status": status})
        total += delete(connection, [dict(zip(NEEDED, row, strict=True)) for row in rows])
    return total


def leftovers(connection: Where, retention: float, page: int) -> int:
    """Delete a page of each: old entries of the audit trail, old hourly counts, groups that have no letters or note."""
    which = {"retention": retention, "page": page}
    return sum(len(direct.rows(connection, statement, which)) for statement in _LEFTOVERS[connection.dialect.name])


def delete(connection: Where, letters: Sequence[Mapping[str, Any]]) -> int:
    """Delete letters, of which :data:`NEEDED` is given, and return how many there are.

    Their jobs go when their own retention is over; what belongs to a job of another environment goes with its letter.
    """
    if not letters:
        return 0
    dialect = connection.dialect.name
    for letter in letters:
        words = texts(dialect, writing.words_of(letter))
        direct.run(connection, _DELETE_WORDS[dialect], {"letter": letter["id"], "words": words})
    for statement in _DELETE[dialect]:
        direct.run(connection, statement, {"ids": texts(dialect, [letter["id"] for letter in letters])})
    _forget_orphans(connection, [letter["job_id"] for letter in letters if letter["job_id"]])
    writing.shift(connection, [(letter["fingerprint"], letter["status"], None) for letter in letters])
    return len(letters)


def _forget_orphans(connection: Where, job_ids: Sequence[str]) -> None:
    dialect = connection.dialect.name
    known = {job_id for (job_id,) in direct.rows(connection, _JOBS[dialect], {"ids": texts(dialect, job_ids)})}
    orphaned = [job_id for job_id in job_ids if job_id not in known]
    if orphaned:
        for statement in _DELETE_OF_JOBS[dialect]:
            direct.run(connection, statement, {"ids": texts(dialect, orphaned)})
