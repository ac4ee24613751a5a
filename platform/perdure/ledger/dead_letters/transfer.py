"""Reading dead letters with everything that is known of each, and writing those of another environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.dead_letters import audit, writing
from perdure.ledger.dead_letters.find import matching
from perdure.ledger.schema import attempts, checkpoints, dead_letters, job_logs
from perdure.model.dead_letter import Actor, LetterFilter
from perdure.model.exported_letter import (
    FORMAT,
    Exported,
    ExportedAttempt,
    ExportedCheckpoint,
    ExportedLetter,
    ExportedLines,
)


def read(connection: Connection, which: LetterFilter, *, limit: int, after: str | None) -> list[Exported]:
    """Return a page of letters with what belongs to them, the oldest first."""
    query = matching(connection, which, dead_letters, after=after, oldest_first=True)
    rows = [dict(row._mapping) for row in connection.execute(query.limit(limit))]
    ids = [row["job_id"] for row in rows if row["job_id"]]
    tried, kept, said = (_of_jobs(connection, table, ids) for table in (attempts, checkpoints, job_logs))
    return [
        Exported(
            format=FORMAT,
            letter=ExportedLetter(**row),
            attempts=[ExportedAttempt(**one) for one in tried.get(row["job_id"], [])],
            checkpoints=[
                ExportedCheckpoint(**{name: value for name, value in one.items() if name != "fence"})
                for one in kept.get(row["job_id"], [])
            ],
            log=[ExportedLines(**one) for one in said.get(row["job_id"], [])],
        )
        for row in rows
    ]


def write(connection: Connection, lines: Sequence[Exported], actor: Actor) -> int:
    """Write letters of another ledger, those that this one has are left alone, and return how many were new."""
    ids = [line.letter.id for line in lines]
    known = set(connection.execute(select(dead_letters.c.id).where(dead_letters.c.id.in_(ids))).scalars())
    new = [line for line in lines if line.letter.id not in known]
    written = writing.write(connection, [msgspec.structs.asdict(line.letter) for line in new])
    for line in new:
        job_id = line.letter.job_id
        tried = [{"job_id": job_id, **msgspec.structs.asdict(one)} for one in line.attempts]
        kept = [{"job_id": job_id, "fence": 0, **msgspec.structs.asdict(one)} for one in line.checkpoints]
        said = [{"job_id": job_id, **msgspec.structs.asdict(one)} for one in line.log]
        for table, rows in ((attempts, tried), (checkpoints, kept), (job_logs, said)):
            if rows and job_id:
                connection.execute(insert_ignoring(table, connection.dialect.name), rows)
    entries = [{"letter_id": line.letter.id, "fingerprint": line.letter.fingerprint} for line in new]
    audit.record(connection, actor, "import", entries)
    return written


def _of_jobs(connection: Connection, table: Any, job_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    primary = list(table.primary_key.columns)
    for row in connection.execute(select(table).where(table.c.job_id.in_(job_ids)).order_by(*primary)):
        values = dict(row._mapping)
        found.setdefault(values.pop("job_id"), []).append(values)
    return found
