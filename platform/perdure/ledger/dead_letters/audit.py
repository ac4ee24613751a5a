"""The audit trail of dead letters: written in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from perdure.ledger.now import now
from perdure.ledger.schema import dead_letter_audit
from perdure.model.clock import to_datetime
from perdure.model.dead_letter import Actor, AuditEntry
from perdure.model.ids import new_id
from perdure.model.text.storable import storable_name

_NAMES = ("letter_id", "fingerprint", "job_id")
_INSERT = insert(dead_letter_audit).values({"at": now()})


def record(connection: Connection, actor: Actor, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write one entry for each of what an action touched.

    Args:
        connection: The action's transaction.
        actor: Who does it, from where.
        action: What is done, such as ``replay``.
        entries: ``letter_id``, ``fingerprint`` and ``job_id`` as far as there are; everything else is the detail.
    """
    common = {"who": storable_name(actor.who), "source": storable_name(actor.source), "action": action}
    rows = [{**common, "id": new_id(), **_row(entry)} for entry in entries]
    if rows:
        connection.execute(_INSERT, rows)


def listing(
    connection: Connection,
    *,
    letter_id: str | None = None,
    fingerprint: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[AuditEntry]:
    """Return entries, the newest first; of one letter or one fault if asked to."""
    c = dead_letter_audit.c
    query = select(dead_letter_audit)
    for name, value in {"letter_id": letter_id, "fingerprint": fingerprint}.items():
        if value is not None:
            query = query.where(c[name] == value)
    if after is not None:
        query = query.where(c.id < after)
    return [_entry(row._mapping) for row in connection.execute(query.order_by(c.id.desc()).limit(limit))]


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    detail = {name: value for name, value in entry.items() if name not in _NAMES and value is not None}
    text = msgspec.json.encode(detail).decode() if detail else None
    return {**{name: entry.get(name) for name in _NAMES}, "detail": text}


def _entry(row: Mapping[Any, Any]) -> AuditEntry:
    values = {name: row[name] for name in ("id", "who", "source", "action", *_NAMES)}
    detail = msgspec.json.decode(row["detail"]) if row["detail"] else {}
    return AuditEntry(at=to_datetime(row["at"]), detail=detail, **values)
