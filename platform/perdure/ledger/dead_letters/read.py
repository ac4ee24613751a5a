"""Reading dead letters that are known by their ids, their jobs or their replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perdure.errors import DeadLetterNotFound
from perdure.ledger import direct
from perdure.ledger.dead_letters.writing import COLUMNS
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, one_of, texts
from perdure.model.records import DeadLetterRecord

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Replays of a bulk replay that are looked at to see how they fare.
_WINDOW = 1_000

#: Begins a statement that reads whole letters; see :func:`record`.
LETTERS = f"SELECT {', '.join(COLUMNS)} FROM perdure_dead_letters"
_GET = f"{LETTERS} WHERE id = :letter_id"
_LOCKED = {
    dialect: f"{LETTERS} WHERE {one_of(dialect, 'id', 'ids')} ORDER BY id {FOR_UPDATE[dialect]}" for dialect in DIALECTS
}
_OF_JOBS = {
    dialect: f"{LETTERS} WHERE job_id IS NOT NULL AND {one_of(dialect, 'job_id', 'ids')} ORDER BY id"
    for dialect in DIALECTS
}
_COUNT_REPLAYED = "SELECT count(*) FROM perdure_dead_letters WHERE replayed_in IS NOT NULL AND replayed_in = :bulk"
_OUTCOMES = f"""
    SELECT j.state, count(*) FROM perdure_jobs j JOIN (
        SELECT replayed_as FROM perdure_dead_letters WHERE replayed_in IS NOT NULL AND replayed_in = :bulk
        ORDER BY id DESC LIMIT {_WINDOW}
    ) AS newest ON newest.replayed_as = j.id GROUP BY j.state
"""
_NEWEST = "SELECT max(id) FROM perdure_dead_letters"


def get(connection: Where, letter_id: str) -> DeadLetterRecord:
    """Return a dead letter.

    Raises:
        DeadLetterNotFound: There is none of that id.
    """
    for row in direct.rows(connection, _GET, {"letter_id": letter_id}):
        return record(row)
    raise not_found(letter_id)


def not_found(letter_id: str) -> DeadLetterNotFound:
    """Return the error that says that there is no such letter."""
    return DeadLetterNotFound(f"no dead letter {letter_id!r} in the ledger. List them: perdure dead list")


def locked(connection: Where, letter_ids: Sequence[str]) -> dict[str, DeadLetterRecord]:
    """Return letters by their ids; nobody else changes them until the transaction ends.

    Raises:
        DeadLetterNotFound: There is none of one of the ids.
    """
    dialect = connection.dialect.name
    rows = direct.rows(connection, _LOCKED[dialect], {"ids": texts(dialect, letter_ids)})
    letters = {letter.id: letter for letter in map(record, rows)}
    for letter_id in letter_ids:
        if letter_id not in letters:
            raise not_found(letter_id)
    return letters


def of_jobs(connection: Where, job_ids: Sequence[str]) -> dict[str, DeadLetterRecord]:
    """Return the newest letter of each of these jobs that has one."""
    dialect = connection.dialect.name
    rows = direct.rows(connection, _OF_JOBS[dialect], {"ids": texts(dialect, job_ids)})
    return {str(letter.job_id): letter for letter in map(record, rows)}


def outcomes(connection: Where, batch: str) -> dict[str, int]:
    """Return the states of the newest replays of a bulk replay, with their counts."""
    return dict(direct.rows(connection, _OUTCOMES, {"bulk": batch}))


def count_replayed(connection: Where, batch: str) -> int:
    """Return how many letters a bulk replay has replayed."""
    [(count,)] = direct.rows(connection, _COUNT_REPLAYED, {"bulk": batch})
    return int(count)


def newest_id(connection: Where) -> str | None:
    """Return the id of the newest letter."""
    [(newest,)] = direct.rows(connection, _NEWEST, {})
    return None if newest is None else str(newest)


def record(row: Sequence[Any]) -> DeadLetterRecord:
    """Return the letter of a row of :data:`COLUMNS`."""
    return DeadLetterRecord.of(dict(zip(COLUMNS, row, strict=True)))
