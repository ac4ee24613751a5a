"""Which database a connection leads to, whatever its URL says: names, addresses and poolers may differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.engine import Database

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_POSTGRESQL = "SELECT current_database(), pg_postmaster_start_time()"


def same_database(connection: Where, database: Database) -> bool:
    """Return whether a connection of the application leads to the ledger's database."""
    if connection.dialect.name != database.dialect:
        return False
    return _place(connection) == database.run(_place, autocommit=True, direct=True)


def _place(connection: Where) -> object:
    if connection.dialect.name == "postgresql":
        return tuple(direct.rows(connection, _POSTGRESQL, {})[0])
    [file] = [file for _, name, file in direct.rows(connection, "PRAGMA database_list", {}) if name == "main"]
    if not file:
        return object()  # in memory: nobody else's
    found = os.stat(file)
    return found.st_dev, found.st_ino
