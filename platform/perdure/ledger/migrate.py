"""The schema's version: Alembic migrations, shipped in the package."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perdure.alembic import PREFIX
from perdure.errors import LedgerMissing, LedgerOutdated, LedgerUnavailable
from perdure.ledger import direct
from perdure.ledger.engine import Database
from perdure.system.extras import extra
from perdure.system.fork_locks import fork_lock
from perdure.system.later import later

if TYPE_CHECKING:
    from sqlalchemy import Connection, schema

    from perdure.ledger.direct import Where
    from perdure.ledger.partitions import tables
else:
    (schema,), (tables,) = later("sqlalchemy", "schema"), later("perdure.ledger.partitions", "tables")

#: Alembic keeps the migration that runs in a variable of its module.
_one_at_a_time = fork_lock()

#: The newest migration: what this release works with.
SCHEMA_VERSION = "0006"
#: Where Alembic keeps it: a table of its own, so that the ledger shares a database with an application that uses Alembic.
VERSION_TABLE = "perdure_alembic_version"
#: Any number that no other user of the database takes: makes concurrent upgrades wait for each other.
LOCK = 0x7065_7264_7572_65


def ensure(database: Database, *, create: bool) -> None:
    """Make sure that the schema is this release's; an embedded SQLite file is made or migrated.

    Raises:
        LedgerMissing: There is none, and ``create`` does not say to make one.
        LedgerOutdated: A PostgreSQL ledger has another schema; the message says what to do.
    """
    if not create and is_missing(database):
        raise LedgerMissing(
            f"there is no ledger at {database.name}: nothing was submitted and no platform was started there. "
            "Start one with: perdure up. If it runs elsewhere, go there or below it, or name its home folder: "
            "PERDURE_HOME, or --home"
        )
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


def is_missing(database: Database) -> bool:
    """Return whether the file of a SQLite ledger is not there; to connect would make it."""
    path = database.sqlite_path
    return path is not None and not path.exists()


def version(database: Database) -> str | None:
    """Return the schema's version, or None for an empty database."""
    if is_missing(database):
        return None

    found = database.run(_stamped, autocommit=True, hot=True)
    if found is None and database.run(_is_unprefixed, autocommit=True):
        return _UNPREFIXED
    return found


#: The version of ledgers whose tables had no prefix, and whose version was in Alembic's own table.
_UNPREFIXED = "0001"


def _is_unprefixed(connection: Connection) -> bool:
    from sqlalchemy import inspect

    tables = inspect(connection)
    if not (tables.has_table("jobs") and tables.has_table("attempts") and tables.has_table("alembic_version")):
        return False
    return "payload_digest" in {column["name"] for column in tables.get_columns("jobs")}


_IS_STAMPED = {
    "sqlite": f"SELECT name FROM sqlite_master WHERE type = 'table' AND name = '{VERSION_TABLE}'",
    "postgresql": f"SELECT 1 WHERE to_regclass('{VERSION_TABLE}') IS NOT NULL",
}


def _stamped(connection: Where) -> str | None:
    """Return the version that is written down, or None."""
    if not direct.rows(connection, _IS_STAMPED[connection.dialect.name], {}):
        return None
    [(found,)] = direct.rows(connection, f"SELECT version_num FROM {VERSION_TABLE}", {}) or [(None,)]
    return None if found is None else str(found)


def _stamp(connection: Where, version: str) -> None:
    """Write the version down, in a table as Alembic makes it."""
    direct.run(connection, f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)", {})
    direct.run(connection, f"INSERT INTO {VERSION_TABLE} VALUES (:version)", {"version": version})


def _adopt(connection: Connection) -> None:
    """Move the version of a ledger without prefix out of the table that an application may use as well."""
    if _stamped(connection) or not _is_unprefixed(connection):
        return
    _stamp(connection, _UNPREFIXED)
    direct.run(connection, "DELETE FROM alembic_version WHERE version_num = :version", {"version": _UNPREFIXED})
    if not direct.rows(connection, "SELECT 1 FROM alembic_version LIMIT 1", {}):
        direct.run(connection, "DROP TABLE alembic_version", {})


def upgrade(database: Database) -> str:
    """Run the migrations that are missing and return the version; safe to run from several processes at once."""

    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            direct.run(connection, f"SELECT pg_advisory_xact_lock({LOCK})", {})
        _adopt(connection)
        found = _stamped(connection)
        if found is None:
            # Not by the migrations: the first one's tables have names that an application's own may have.
            _create(connection)
            _stamp(connection, SCHEMA_VERSION)
        elif found != SCHEMA_VERSION:
            _migrate(connection)

    with _one_at_a_time, _alone(database):
        database.run(work)
    return SCHEMA_VERSION


def _create(connection: Connection) -> None:
    """Make the tables and their indexes, the partial ones last.

    Where two serve as well, SQLite without statistics takes the one that was made later.
    """
    from perdure.ledger.indexes import metadata

    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    for table in metadata.sorted_tables:
        connection.execute(schema.CreateTable(table))
    for index in sorted(indexes, key=lambda index: (index.dialect_options["sqlite"]["where"] is not None, str(index.name))):
        connection.execute(schema.CreateIndex(index))


def drift(database: Database) -> list[Any]:
    """Return the differences between the database and the schema that the code expects; none is right."""
    with extra("worker", f"comparing ledger {database.name} with its schema"):
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        from perdure.ledger.indexes import metadata

    return database.run(lambda c: list(compare_metadata(MigrationContext.configure(c, opts=_OWN), metadata)))


#: Other tables of the database are none of perdure's business; partitions are as the tables were when they were made.
_OWN = {
    "version_table": VERSION_TABLE,
    "include_name": lambda name, kind, _parents: (
        kind != "table" or (name.startswith(PREFIX) and not tables.is_partition(name))
    ),
}


def _migrate(connection: Connection) -> None:
    with extra("worker", "migrating a ledger"):
        from alembic import command  # imported here: it is slow, and rarely needed
    command.upgrade(_config(connection), "head")


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
        yield  # PostgreSQL: an advisory lock is taken in the migration's own transaction
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.migrating").open("w")
    except OSError as error:
        raise LedgerUnavailable(f"ledger {database.name}: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
