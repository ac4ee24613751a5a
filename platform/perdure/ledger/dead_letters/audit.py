"""The audit trail of dead letters: written in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.clock import to_datetime
from perdure.model.dead_letter import Actor, AuditEntry
from perdure.model.ids import new_id
from perdure.model.text.storable import storable_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_NAMES = ("letter_id", "fingerprint", "job_id")
_ENTRY = dict.fromkeys(("id", "who", "source", "action", *_NAMES, "detail"), "text")
_INSERT = {
    dialect: f"INSERT INTO perdure_dead_letter_audit (at, {', '.join(_ENTRY)}) "
    f"SELECT {NOW[dialect]}, {', '.join(_ENTRY)} FROM {rows_of(dialect, _ENTRY)}"
    for dialect in DIALECTS
}
_COLUMNS = AuditEntry.__struct_fields__


def record(connection: Where, actor: Actor, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
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
        direct.run(connection, _INSERT[connection.dialect.name], encoded(rows))


def listing(
    connection: Where,
    *,
    letter_id: str | None = None,
    fingerprint: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[AuditEntry]:
    """Return entries, the newest first; of one letter or one fault if asked to."""
    filters = {"letter_id": letter_id, "fingerprint": fingerprint, "after": after}
    given = {name: value for name, value in filters.items() if value is not None}
    return [_entry(row) for row in direct.rows(connection, _listing(*given), {**given, "most": limit})]


@cache
def _listing(*given: str) -> str:
    compared = {"letter_id": "letter_id =", "fingerprint": "fingerprint =", "after": "id <"}
    where = " AND ".join(f"{compared[name]} :{name}" for name in given) or "true"
    return f"SELECT {', '.join(_COLUMNS)} FROM perdure_dead_letter_audit WHERE {where} ORDER BY id DESC LIMIT :most"


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    detail = {name: value for name, value in entry.items() if name not in _NAMES and value is not None}
    text = msgspec.json.encode(detail).decode() if detail else None
    return {**{name: entry.get(name) for name in _NAMES}, "detail": text}


def _entry(row: Sequence[Any]) -> AuditEntry:
    values = dict(zip(_COLUMNS, row, strict=True))
    detail = msgspec.json.decode(values["detail"]) if values["detail"] else {}
    return AuditEntry(**{**values, "at": to_datetime(values["at"]), "detail": detail})
