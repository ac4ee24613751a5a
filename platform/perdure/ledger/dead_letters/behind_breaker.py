"""Dead letters that wait for a circuit breaker to close: the open ones of a task that died of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dead_letters.read import LETTERS, record
from perdure.model.dead_letter import OPEN, LetterFilter
from perdure.model.records import DeadLetterRecord
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: As the partial index has it, which SQLite without statistics takes for no better than that of the status alone.
_BY_INDEX = {"sqlite": "INDEXED BY ix_perdure_dead_letters_waiting", "postgresql": ""}
_WAIT = f"status = '{OPEN}' AND breaker IS NOT NULL AND breaker = :breaker AND task = :task"
_NEWEST_REPLAYABLE = f"""
    SELECT id FROM perdure_dead_letters WHERE {_WAIT} AND generation < :generations ORDER BY id DESC LIMIT 1
"""
_PAGE = {
    dialect: f"{LETTERS} {by_index} WHERE {_WAIT} AND id <= :upto AND id > :after ORDER BY id LIMIT :most"
    for dialect, by_index in _BY_INDEX.items()
}
_COUNT = f"SELECT count(*) FROM perdure_dead_letters WHERE {_WAIT} AND id <= :upto"
_NEWEST_OF_TAG = """
    SELECT j.state FROM perdure_job_tags t JOIN perdure_jobs j ON j.id = t.job_id
    WHERE t.tag = :tag AND t.value = :value ORDER BY t.job_id DESC LIMIT 1
"""


def are_meant(which: LetterFilter) -> bool:
    """Return whether a filter means letters that wait for a breaker, up to some id, and nothing else."""
    wait = LetterFilter(task=which.task, breaker=which.breaker, status=OPEN, upto=which.upto)
    return which == wait and None not in (which.task, which.breaker, which.upto)


def newest_replayable(connection: Where, task: str, breaker: str, generations: int) -> str | None:
    """Return the newest open letter of a task that died of a breaker and was replayed fewer than ``generations`` times."""
    values = {"task": task, "breaker": breaker, "generations": generations}
    for (letter_id,) in direct.rows(connection, _NEWEST_REPLAYABLE, values):
        return str(letter_id)
    return None


def page(connection: Where, which: LetterFilter, limit: int, after: str | None) -> list[DeadLetterRecord]:
    """Return a page of those that :func:`are_meant`, the oldest first; ``after`` is the last id of the page before."""
    values = {"task": which.task, "breaker": which.breaker, "upto": which.upto, "after": after or "", "most": limit}
    return [record(row) for row in direct.rows(connection, _PAGE[connection.dialect.name], values)]


def count(connection: Where, which: LetterFilter) -> int:
    """Return how many there are of those that :func:`are_meant`."""
    values = {"task": which.task, "breaker": which.breaker, "upto": which.upto}
    [(found,)] = direct.rows(connection, _COUNT, values)
    return int(found)


def replay_at_work(connection: Where, tag: str, task: str) -> bool:
    """Return whether a task's newest replay, which has its name as the value of a tag, has not ended yet."""
    found = direct.rows(connection, _NEWEST_OF_TAG, {"tag": tag, "value": task})
    return bool(found) and not JobState(found[0][0]).is_final
