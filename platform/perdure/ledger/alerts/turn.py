"""Whose turn it is to look for alerts: one supervisor's, until it stops coming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_NAME = "alerts:turn"

_TAKE = {
    dialect: f"""
    INSERT INTO perdure_facts AS held (name, value, updated_at) VALUES ('{_NAME}', :holder, {NOW[dialect]})
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
        WHERE held.value = excluded.value OR held.updated_at < excluded.updated_at - :lease
    RETURNING updated_at
    """
    for dialect in DIALECTS
}
_LAST = {
    dialect: f"SELECT value, {NOW[dialect]} - updated_at FROM perdure_facts WHERE name = '{_NAME}'" for dialect in DIALECTS
}


class LastLook(Struct, frozen=True):
    """The last look for alerts: ``holder`` took it, ``age`` seconds ago."""

    holder: str
    age: float


def take(connection: Where, holder: str, lease: float) -> float | None:
    """Take the turn, or keep it, and return the ledger's time; None when it is somebody else's.

    Args:
        connection: Where to write.
        holder: Who wants it.
        lease: Seconds without a look after which somebody else may have it.
    """
    taken = direct.rows(connection, _TAKE[connection.dialect.name], {"holder": holder, "lease": lease})
    return float(taken[0][0]) if taken else None


def last(connection: Where) -> LastLook | None:
    """Return when somebody looked last; None when nobody ever has."""
    found = direct.rows(connection, _LAST[connection.dialect.name], {})
    return LastLook(found[0][0], max(0.0, found[0][1])) if found else None
