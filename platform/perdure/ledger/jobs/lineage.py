"""Lineage: original -> replay -> replay, both ways from any job of the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dead_letters.read import of_jobs
from perdure.ledger.dialects import DIALECTS, one_of, texts
from perdure.model.dead_letter import LineageEntry

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Most jobs of one line that are told of, and most that are followed to its beginning.
LONGEST = 1_000

_ORIGIN = "SELECT replay_of FROM perdure_jobs WHERE id = :of_job"
_ORIGIN_OF_LETTER = "SELECT replay_of FROM perdure_dead_letters WHERE job_id IS NOT NULL AND job_id = :of_job LIMIT 1"
_REPLAYS = {
    dialect: "SELECT id, replay_of, state FROM perdure_jobs "
    f"WHERE replay_of IS NOT NULL AND {one_of(dialect, 'replay_of', 'of_jobs')} ORDER BY id"
    for dialect in DIALECTS
}
_STATE = "SELECT state FROM perdure_jobs WHERE id = :of_job"


def line_of(connection: Where, job_id: str) -> list[LineageEntry]:
    """Return all jobs of the line that a job belongs to, the first one first.

    A letter that was replayed several times has several replays: then the line is a tree, told generation by generation.
    Jobs that were pruned, or died in another environment, are known from what names them.
    """
    root, seen = job_id, {job_id}
    while (before := _replay_of(connection, root)) is not None and before not in seen and len(seen) < LONGEST:
        seen.add(before)
        root = before
    found: dict[str, tuple[str | None, int, str | None]] = {root: (None, 0, _state(connection, root))}
    newest, generation = [root], 0
    while newest and len(found) < LONGEST:
        generation += 1
        replays = [row for row in _replays(connection, newest) if row[0] not in found]
        found |= {id_: (parent, generation, state) for id_, parent, state in replays}
        newest = [id_ for id_, _, _ in replays]
    letters = of_jobs(connection, list(found))
    return [
        LineageEntry(
            id_,
            parent,
            depth,
            state or ("dead" if id_ in letters else None),
            letters[id_].id if id_ in letters else None,
            letters[id_].replayed_by if id_ in letters else None,
        )
        for id_, (parent, depth, state) in found.items()
    ]


def _replay_of(connection: Where, job_id: str) -> str | None:
    of_job = {"of_job": job_id}
    for (origin,) in direct.rows(connection, _ORIGIN, of_job) or direct.rows(connection, _ORIGIN_OF_LETTER, of_job):
        return origin or None
    return None


def _replays(connection: Where, job_ids: Sequence[str]) -> Sequence[tuple[str, str, str]]:
    dialect = connection.dialect.name
    return direct.rows(connection, _REPLAYS[dialect], {"of_jobs": texts(dialect, job_ids)})


def _state(connection: Where, job_id: str) -> str | None:
    for (state,) in direct.rows(connection, _STATE, {"of_job": job_id}):
        return str(state)
    return None
