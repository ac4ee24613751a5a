"""Whether the ledger can be written: a full disk, or a standby that was promoted nowhere, still answers reads."""

from __future__ import annotations

from sqlalchemy import Connection

from perdure.ledger.conditions import upsert
from perdure.ledger.now import now
from perdure.ledger.schema import facts


def probe(connection: Connection) -> None:
    """Write a few bytes; raises what the database raises when it cannot."""
    values = {"name": "last_probe", "value": "", "updated_at": now()}
    connection.execute(upsert(facts, connection.dialect.name, ["name"]).values(**values))
