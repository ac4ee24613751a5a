"""Which database a connection leads to, whatever its URL says: names, addresses and poolers may differ."""

from __future__ import annotations

import os

from sqlalchemy import Connection, text

from perdure.ledger.engine import Database

_POSTGRESQL = text("SELECT current_database(), pg_postmaster_start_time()")


def same_database(connection: Connection, database: Database) -> bool:
    """Return whether a connection of the application leads to the ledger's database."""
    if connection.dialect.name != database.dialect:
        return False
    return _place(connection) == database.run(_place, autocommit=True)


def _place(connection: Connection) -> object:
    if connection.dialect.name == "postgresql":
        return tuple(connection.execute(_POSTGRESQL).one())
    [file] = [row.file for row in connection.execute(text("PRAGMA database_list")) if row.name == "main"]
    if not file:
        return object()  # in memory: nobody else's
    found = os.stat(file)
    return found.st_dev, found.st_ino
