"""Putting the files of a snapshot in a ledger's place: whole, fenced, in one step, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, exists, or_, select

from perdure.errors import LedgerUnavailable
from perdure.ledger import migrate
from perdure.ledger.backup.fencing import Fenced, fence
from perdure.ledger.backup.snapshot import COPY_SUFFIX, SQLITE_FILE, columns_of, contents, copying, ordered
from perdure.ledger.engine import Database
from perdure.ledger.schema import dead_letters, jobs, schedules
from perdure.ledger.sqlite import BUSY_TIMEOUT

#: Bytes that are sent to PostgreSQL at once.
_CHUNK = 1 << 20


def is_empty(database: Database) -> bool:
    """Return whether a ledger is not there yet, or has no jobs, dead letters and schedules."""
    if migrate.version(database) is None:
        return True
    anything = select(or_(*(exists().where(key.is_not(None)) for key in (jobs.c.id, dead_letters.c.id, schedules.c.name))))
    return not database.run(lambda c: c.execute(anything).scalar_one(), autocommit=True)


def check_sqlite(folder: Path) -> tuple[dict[str, int], list[str], str | None]:
    """Return the counts, the blobs referred to and what is wrong of a SQLite file of a snapshot; None where it is sound."""
    database = Database(f"sqlite:///{folder / SQLITE_FILE}")
    try:
        [found] = database.run(lambda c: c.exec_driver_sql("PRAGMA integrity_check(1)").scalars().all())
        if found != "ok":
            return {}, [], str(found)
        migrate.upgrade(database)  # of the release before
        return *database.run(contents), None
    finally:
        database.close()


def restore(database: Database, folder: Path) -> Fenced:
    """Replace a ledger by the files of a snapshot, and fence it.

    Args:
        database: The ledger's; of PostgreSQL with this release's schema.
        folder: Where the files are. A SQLite file is changed.

    Raises:
        LedgerUnavailable: The ledger cannot be written; it is as it was.
    """
    return (_to_sqlite if database.dialect == "sqlite" else _to_postgresql)(database, folder)


def _to_sqlite(database: Database, folder: Path) -> Fenced:
    file, place = folder / SQLITE_FILE, database.sqlite_path
    assert place is not None
    restored = Database(f"sqlite:///{file}")
    try:
        fenced = restored.run(fence)
    finally:
        restored.close()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.touch(mode=0o600)
        # Into the file that is there, as one transaction: whoever has it open sees the restored ledger from then on.
        with (
            closing(sqlite3.connect(file)) as source,
            closing(sqlite3.connect(place, timeout=BUSY_TIMEOUT)) as target,
        ):
            source.backup(target)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"ledger {database.name}: {error}. It is as it was") from error
    return fenced


def _to_postgresql(database: Database, folder: Path) -> Fenced:
    tables = ordered()
    names = ", ".join(table.name for table in tables)

    def work(connection: Connection) -> Fenced:
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        connection.exec_driver_sql(f"TRUNCATE {names}")
        raw: Any = connection.connection.driver_connection
        for table in tables:
            statement = f"COPY {table.name} ({columns_of(table)}) FROM STDIN"
            with copying(connection, database.name), raw.cursor().copy(statement) as rows:
                for data in _chunks(folder / f"{table.name}{COPY_SUFFIX}"):
                    rows.write(data)
        return fence(connection)

    return database.run(work)


def _chunks(file: Path) -> Iterable[bytes]:
    with file.open("rb") as source:
        while data := source.read(_CHUNK):
            yield data
