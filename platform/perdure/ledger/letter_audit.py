"""The audit trail of dead letters: who did what, when, to which letter or fault, and from where."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from perdure.clock import to_datetime
from perdure.ids import new_id
from perdure.ledger.now import now
from perdure.ledger.schema import dead_letter_audit
from perdure.ledger.text import storable_name


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One action on dead letters.

    Attributes:
        id: The entry's id, which sorts by time.
        letter_id: The letter that it was about; None for a group or for many.
        fingerprint: The group that it was about.
        action: ``replay``, ``discard``, ``note``, ``note_group``, ``purge``, ``export``, ``import``, ``replay_many``.
        by: Who did it.
        origin: The host and process that it was done from.
        details: What exactly: reason, new job, difference of the arguments, filters, counts.
        at: When, by the ledger's clock.
    """

    id: str
    letter_id: str | None
    fingerprint: str | None
    action: str
    by: str
    origin: str
    details: dict[str, Any]
    at: datetime | None


def write(
    connection: Connection,
    action: str,
    by: str,
    *,
    letter_id: str | None = None,
    fingerprint: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry, in the transaction of the action."""
    text = msgspec.json.encode(dict(details or {}), enc_hook=str).decode()
    connection.execute(
        dead_letter_audit.insert().values(
            id=new_id(),
            letter_id=letter_id,
            fingerprint=fingerprint,
            action=action,
            by=storable_name(by) or "?",
            origin=f"{socket.gethostname()}:{os.getpid()}"[:255],
            details=text.replace("\\u0000", "\\\\x00"),
            at=now(),
        )
    )


def listing(
    connection: Connection, *, letter_id: str | None = None, fingerprint: str | None = None, limit: int = 100
) -> list[AuditRecord]:
    """Return entries, the newest first."""
    c = dead_letter_audit.c
    query = select(dead_letter_audit).order_by(c.id.desc()).limit(limit)
    if letter_id is not None:
        query = query.where(c.letter_id == letter_id)
    if fingerprint is not None:
        query = query.where(c.fingerprint == fingerprint)
    return [_record(row) for row in connection.execute(query)]


def _record(row: Any) -> AuditRecord:
    values = dict(row._mapping)
    details = msgspec.json.decode(values["details"]) if values["details"] else {}
    return AuditRecord(**(values | {"details": details, "at": to_datetime(values["at"])}))
