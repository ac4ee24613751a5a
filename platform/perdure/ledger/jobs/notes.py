"""What happened to a job besides its transitions, for people: `perdure jobs show` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from perdure.ledger.now import now
from perdure.ledger.schema import job_notes
from perdure.model.clock import to_datetime
from perdure.model.ids import new_id
from perdure.model.text.storable import MAX_ERROR, storable


class NoteKind(StrEnum):
    """What a note is about."""

    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    CHECKPOINT_LOST = "checkpoint_lost"
    STATE_MIGRATED = "state_migrated"
    STATE_DISCARDED = "state_discarded"
    HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class JobNote:
    """One note."""

    kind: str
    text: str
    at: datetime | None


def write(connection: Connection, job_id: str, kind: NoteKind, text: str) -> None:
    """Write a note about a job."""
    values = {"id": new_id(), "job_id": job_id, "kind": kind.value, "text": storable(text, MAX_ERROR), "at": now()}
    connection.execute(job_notes.insert().values(**values))


def of_job(connection: Connection, job_id: str) -> list[JobNote]:
    """Return a job's notes, the first one first."""
    rows = connection.execute(select(job_notes).where(job_notes.c.job_id == job_id).order_by(job_notes.c.id))
    return [JobNote(row.kind, row.text, to_datetime(row.at)) for row in rows]
