"""The schema's version: Alembic migrations, shipped in the package."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, inspect, text

from perdure.errors import LedgerOutdated
from perdure.ledger.engine import Database

#: Alembic keeps the migration that runs in a variable of its module.
_one_at_a_time = threading.Lock()

#: The newest migration: what this release works with.
SCHEMA_VERSION = "0001"


def ensure(database: Database) -> None:
    """Make sure that the schema is this release's; an embedded SQLite file is made or migrated.

    Raises:
        LedgerOutdated: A PostgreSQL ledger has another schema; the message says what to do.
    """
    found = version(database)
    if found == SCHEMA_VERSION:
        return
    if database.dialect == "sqlite" and (found is None or found < SCHEMA_VERSION):
        upgrade(database)
    else:
        raise LedgerOutdated(
            f"ledger {database.name} has schema {found or 'none'}, this release needs {SCHEMA_VERSION}. "
            + ("Install the newer release." if found and found > SCHEMA_VERSION else "Run: perdure db upgrade")
        )


def version(database: Database) -> str | None:
    """Return the schema's version, or None for an empty database."""

    def work(connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)

    return database.run(work, autocommit=True)


def upgrade(database: Database) -> str:
    """Run the migrations that are missing and return the version; safe to run from several processes at once."""
    from alembic import command  # imported here: it is slow, and rarely needed

    with _one_at_a_time, _alone(database):
        database.run(lambda connection: command.upgrade(_config(connection), "head"))
    return SCHEMA_VERSION


def drift(database: Database) -> list[Any]:
    """Return the differences between the database and the schema that the code expects; none is right."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from perdure.ledger.schema import metadata

    return database.run(lambda c: list(compare_metadata(MigrationContext.configure(c), metadata)))


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "perdure.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    path = database.sqlite_path
    if path is None:
        yield  # PostgreSQL: env.py takes an advisory lock in the migration's own transaction
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
