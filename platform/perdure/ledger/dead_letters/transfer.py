"""Moving dead letters between environments: everything that is known of one, as plain values."""

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


class ExportedAttempt(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An attempt of a letter's job; times are epoch seconds."""

    number: int
    outcome: str
    finished_at: float
    worker: str | None = None
    worker_pid: int | None = None
    started_at: float | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None


class ExportedCheckpoint(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A checkpoint of a letter's job."""

    name: str
    seq: int
    data: bytes
    saved_at: float


class ExportedLines(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Lines that a letter's job has said, as the ledger keeps them."""

    fence: int
    first: int
    attempt: int
    lines: int
    bytes: int
    data: str


class ExportedLetter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A dead letter; texts of JSON stay texts, bytes are base64 in JSON, times are epoch seconds."""

    id: str
    task: str
    reason: str
    fingerprint: str
    created_at: float
    status: str
    job_id: str | None = None
    bulkhead: str | None = None
    args: str | None = None
    kwargs: str | None = None
    tags: str | None = None
    priority: int | None = None
    timeout: float | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    breaker: str | None = None
    attempts: int = 0
    checkpoint_seq: int = 0
    replay_of: str | None = None
    generation: int = 0
    raw: bytes | None = None
    replayed_as: str | None = None
    replayed_by: str | None = None
    replayed_at: float | None = None
    replayed_in: str | None = None
    resolved_reason: str | None = None
    note: str | None = None
    noted_by: str | None = None
    noted_at: float | None = None


class Exported(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One line of an export. A job that said nothing has no ``log``, so that releases which know of none can read it."""

    format: str
    letter: ExportedLetter
    attempts: list[ExportedAttempt] = []
    checkpoints: list[ExportedCheckpoint] = []
    log: list[ExportedLines] = []


#: What an export says of itself; another number means another layout.
FORMAT = "perdure.dead-letter/1"


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
