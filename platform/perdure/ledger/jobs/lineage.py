"""Lineage: original -> replay -> replay, both ways from any job of the line."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from perdure.ledger.dead_letters.read import of_jobs
from perdure.ledger.schema import dead_letters, jobs
from perdure.model.dead_letter import LineageEntry

#: Most jobs of one line that are told of, and most that are followed to its beginning.
LONGEST = 1_000


def line_of(connection: Connection, job_id: str) -> list[LineageEntry]:
    """Return all jobs of the line that a job belongs to, the first one first.

    A letter that was replayed several times has several replays: then the line is a tree, told generation by generation.
    Jobs that were pruned, or died in another environment, are known from what names them.
    """
    root, seen = job_id, {job_id}
    while (before := _replay_of(connection, root)) is not None and before not in seen and len(seen) < LONGEST:
        seen.add(before)
        root = before
    found: dict[str, tuple[str | None, int, str | None]] = {root: (None, 0, _states(connection, [root]).get(root))}
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


def _replay_of(connection: Connection, job_id: str) -> str | None:
    of_job = connection.execute(select(jobs.c.replay_of).where(jobs.c.id == job_id)).one_or_none()
    if of_job is not None:
        return str(of_job[0]) if of_job[0] else None
    of_letter = select(dead_letters.c.replay_of).where(dead_letters.c.job_id == job_id).limit(1)
    found: str | None = connection.execute(of_letter).scalar_one_or_none()
    return found


def _replays(connection: Connection, job_ids: Sequence[str]) -> list[tuple[str, str, str | None]]:
    query = select(jobs.c.id, jobs.c.replay_of, jobs.c.state).where(jobs.c.replay_of.in_(job_ids)).order_by(jobs.c.id)
    return [(row.id, row.replay_of, row.state) for row in connection.execute(query)]


def _states(connection: Connection, job_ids: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(job_ids)))
    return {row.id: row.state for row in rows}
