"""Small facts about the platform that are no more than when something was done last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_NOTE = {
    dialect: f"INSERT INTO perdure_facts (name, value, updated_at) VALUES (:name, '', {NOW[dialect]}) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
    for dialect in DIALECTS
}


def note(connection: Where, name: str) -> None:
    """Note that something is done now."""
    direct.run(connection, _NOTE[connection.dialect.name], {"name": name})
