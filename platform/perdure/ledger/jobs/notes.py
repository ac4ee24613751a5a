"""What happened to a job besides its transitions, for people: `perdure jobs show` lists it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.clock import to_datetime
from perdure.model.ids import new_id
from perdure.model.text.storable import MAX_ERROR, storable

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class NoteKind(StrEnum):
    """What a note is about."""

    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    CHECKPOINT_LOST = "checkpoint_lost"
    STATE_MIGRATED = "state_migrated"
    STATE_DISCARDED = "state_discarded"
    HANDED_BACK = "handed_back"


class JobNote(Struct, frozen=True):
    """One note."""

    kind: str
    text: str
    at: datetime | None


_WRITE = {
    dialect: "INSERT INTO perdure_job_notes (id, job_id, kind, text, at) "
    f"VALUES (:id, :of_job, :kind, :text, {NOW[dialect]})"
    for dialect in DIALECTS
}
_OF_JOB = "SELECT kind, text, at FROM perdure_job_notes WHERE job_id = :of_job ORDER BY id"


def write(connection: Where, job_id: str, kind: NoteKind, text: str) -> None:
    """Write a note about a job."""
    values = {"id": new_id(), "of_job": job_id, "kind": kind.value, "text": storable(text, MAX_ERROR)}
    direct.run(connection, _WRITE[connection.dialect.name], values)


def of_job(connection: Where, job_id: str) -> list[JobNote]:
    """Return a job's notes, the first one first."""
    return [JobNote(kind, text, to_datetime(at)) for kind, text, at in direct.rows(connection, _OF_JOB, {"of_job": job_id})]
