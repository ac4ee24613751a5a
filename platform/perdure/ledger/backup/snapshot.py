"""Writing a ledger, as it is at one moment, to files. Nobody who works on it waits.

PostgreSQL is read by COPY and not by pg_dump: no client has to be there that is as new as the server, and what is restored
can be fenced in the same transaction (see :mod:`perdure.ledger.backup.restoring`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, func, select

from perdure.errors import LedgerUnavailable
from perdure.ledger import offloaded
from perdure.ledger.engine import Database
from perdure.ledger.schema import metadata

#: The file of a SQLite ledger, and how those of PostgreSQL's tables end.
SQLITE_FILE, COPY_SUFFIX = "ledger.db", ".copy"
#: Pages that SQLite copies between two words on how far it has come.
_PAGES = 2_000
#: Rows in which references are sought at once.
_ROWS = 10_000

#: Told how much of how much is written.
Told = Callable[[int, int], object]


class Snapshot(Struct, frozen=True):
    """What was written.

    Attributes:
        files: The files, with the ledger's rows as they were at one moment.
        tables: How many rows each table has.
        blobs: What they refer to in the blob store.
    """

    files: list[Path]
    tables: dict[str, int]
    blobs: list[str]


def take(database: Database, folder: Path, told: Told = lambda _done, _of: None) -> Snapshot:
    """Write a ledger to files in a folder.

    Args:
        database: The ledger's; its schema is this release's.
        folder: An empty folder.
        told: Told how much of how much is written.

    Raises:
        LedgerUnavailable: The ledger cannot be read.
        OSError: The files cannot be written.
    """
    return (_of_sqlite if database.dialect == "sqlite" else _of_postgresql)(database, folder, told)


def contents(connection: Connection) -> tuple[dict[str, int], list[str]]:
    """Return how many rows each table has, and the blobs that they refer to."""
    tables = {t.name: int(connection.execute(select(func.count()).select_from(t)).scalar_one()) for t in ordered()}
    found: set[str] = set()
    for table in offloaded.holders(connection):
        after: str | None = ""
        while after is not None:
            page = offloaded.references(connection, table, after, _ROWS)
            found |= page.references
            after = page.next
    return tables, sorted(found)


def ordered() -> list[Table]:
    """Return the ledger's tables by name."""
    return sorted(metadata.tables.values(), key=lambda table: table.name)


def columns_of(table: Table) -> str:
    """Return the names of a table's columns for COPY."""
    return ", ".join(f'"{column.name}"' for column in table.columns)


@contextmanager
def copying(connection: Connection, name: str) -> Iterator[None]:
    """Raise what the driver says in a COPY, which SQLAlchemy does not see, as LedgerUnavailable."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        raise LedgerUnavailable(f"ledger {name}: {str(error).strip().splitlines()[0]}") from error


def _of_sqlite(database: Database, folder: Path, told: Told) -> Snapshot:
    file = folder / SQLITE_FILE

    def copy(connection: Connection) -> None:
        source: Any = connection.connection.driver_connection
        # With a transaction of its own open, SQLite does not begin again whenever somebody writes.
        source.execute("BEGIN")
        try:
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with closing(sqlite3.connect(file)) as target:
                source.backup(target, pages=_PAGES, progress=lambda _, left, of: told(of - left, of))
        finally:
            source.execute("ROLLBACK")

    _as_os_error(file, lambda: database.run(copy, autocommit=True))
    copied = Database(f"sqlite:///{file}")
    try:
        tables, blobs = copied.run(contents)
    finally:
        copied.close()
    return Snapshot([file], tables, blobs)


def _of_postgresql(database: Database, folder: Path, told: Told) -> Snapshot:
    tables = ordered()

    def copy(connection: Connection) -> Snapshot:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Before the snapshot, which the first reading takes: of a table that is rotated in between it would see nothing.
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(table.name for table in tables)} IN ACCESS SHARE MODE")
        raw: Any = connection.connection.driver_connection
        files = []
        for number, table in enumerate(tables, 1):
            files.append(folder / f"{table.name}{COPY_SUFFIX}")
            # Of the table itself, COPY would leave the partitions out.
            statement = f"COPY (SELECT {columns_of(table)} FROM {table.name}) TO STDOUT"
            with files[-1].open("wb") as file, copying(connection, database.name), raw.cursor().copy(statement) as rows:
                for data in rows:
                    file.write(data)
            told(number, len(tables))
        return Snapshot(files, *contents(connection))

    return database.run(copy)


def _as_os_error(file: Path, work: Callable[[], object]) -> None:
    try:
        work()
    except sqlite3.Error as error:  # of the copy: what the ledger's own connection says comes as LedgerUnavailable
        raise OSError(None, str(error), str(file)) from error
