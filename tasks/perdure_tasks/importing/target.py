"""The table that rows go to: what it looks like, and how rows get in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Insert,
    MetaData,
    Table,
    bindparam,
    create_engine,
    inspect,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, InternalError, NoSuchModuleError, NoSuchTableError
from sqlalchemy.pool import NullPool

from perdure import Discard
from perdure.errors import did_you_mean
from perdure.settings.ledger_url import for_sqlalchemy
from perdure_tasks.importing.mode import Mode
from perdure_tasks.named import from_environment

Row = dict[str, Any]

DATABASE_PREFIX = "PERDURE_DATABASE_URL_"
#: How long to wait for another writer of a SQLite file, in seconds.
SQLITE_BUSY_S = 30

#: What a database says about a row that it does not take; anything else is trouble with the database itself.
_ROW_ERRORS = (IntegrityError, DataError, InternalError)
#: Prefix of the parameters that an UPDATE looks a row up by; its values have the columns' own names.
_KEY = "key_of_"


def open_engine(database: str) -> Engine:
    """Return an engine for a URL, or for the name of one in the worker's environment.

    Raises:
        Discard: The URL is malformed, its driver is not installed, or the name is unknown.
    """
    url = database if "://" in database else from_environment(DATABASE_PREFIX, database)
    try:
        parsed = make_url(for_sqlalchemy(url))
        options = {"timeout": SQLITE_BUSY_S} if parsed.get_backend_name() == "sqlite" else {}
        return create_engine(parsed, poolclass=NullPool, connect_args=options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        # their messages may show the URL with its password
        raise Discard(f"the database cannot be used: its URL or driver is unknown ({type(error).__name__}).") from None


class Target:
    """A table to import into.

    Args:
        connection: Outside of a transaction.
        name: The table, with its schema and a dot before it if it is not in the default one.
        header: Names of the columns in the file, in its order.
        mode: Whether a row whose key is there already replaces it (``upsert``) or is rejected (``append``).
        key: The columns that tell rows apart in mode ``upsert``; the primary key by default.

    Raises:
        Discard: There is no such table, or file and table do not fit; the message names what is missing.
    """

    def __init__(
        self, connection: Connection, name: str, header: Sequence[str], mode: Mode, key: Sequence[str] | None
    ) -> None:
        self.table = _reflected(connection, name)
        _check_header(self.table, header)
        self.columns: list[Column[Any]] = [self.table.c[column] for column in header]
        self._connection = connection
        self._key = _checked_key(connection, self.table, header, key) if mode == "upsert" else []
        self._statement = _insert(self.table, header, self._key, connection.dialect.name)

    def write(self, rows: Sequence[Row]) -> list[tuple[int, str]]:
        """Write rows in the current transaction, as one or, if the database refuses one of them, each by itself.

        Returns:
            Index and reason of each row that the database refused.
        """
        if not rows:
            return []
        try:
            with self._connection.begin_nested():
                self._write(rows)
        except _ROW_ERRORS:
            return self._write_singly(rows)
        return []

    def _write_singly(self, rows: Sequence[Row]) -> list[tuple[int, str]]:
        refused = []
        for index, row in enumerate(rows):
            try:
                with self._connection.begin_nested():
                    self._write([row])
            except _ROW_ERRORS as error:
                refused.append((index, _reason(error)))
        return refused

    def _write(self, rows: Sequence[Row]) -> None:
        if self._statement is not None:
            self._connection.execute(self._statement, rows)
            return
        for row in rows:
            self._update_or_insert(row)

    def _update_or_insert(self, row: Row) -> None:
        """Upsert on databases whose own form of it is not known here; the marker's lock keeps other imports away."""
        where = [self.table.c[name] == bindparam(_KEY + name) for name in self._key]
        values: dict[str, Any] = {name: bindparam(name) for name in row if name not in self._key} or {
            self._key[0]: row[self._key[0]]
        }
        keys = {_KEY + name: row[name] for name in self._key}
        changed = self._connection.execute(update(self.table).where(*where).values(values), {**row, **keys})
        if changed.rowcount == 0:
            self._connection.execute(self.table.insert(), row)


def _insert(table: Table, header: Sequence[str], key: Sequence[str], dialect: str) -> Insert | None:
    if not key:
        return table.insert()
    inserts = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
    if dialect not in inserts:
        return None
    statement: Any = inserts[dialect](table)
    others = {name: statement.excluded[name] for name in header if name not in key}
    if others:
        return statement.on_conflict_do_update(index_elements=list(key), set_=others)  # type: ignore[no-any-return]
    return statement.on_conflict_do_nothing(index_elements=list(key))  # type: ignore[no-any-return]


def _reflected(connection: Connection, name: str) -> Table:
    schema, _, plain = name.rpartition(".")
    with connection.begin():
        try:
            table = Table(plain, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
            _make_empty_json_null(table)
            return table
        except NoSuchTableError:
            known = inspect(connection).get_table_names(schema=schema or None)
    raise Discard(f"the database has no table {name!r}.{did_you_mean(plain, known)} Tables: {_listed(known)}")


def _make_empty_json_null(table: Table) -> None:
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type.none_as_null = True  # otherwise None is written as JSON's null, which is not NULL


def _check_header(table: Table, header: Sequence[str]) -> None:
    known = [column.name for column in table.columns]
    problems = [f"{name!r} is no column.{did_you_mean(name, known)}" for name in header if name not in known]
    problems += [f"{name!r} is there {header.count(name)} times." for name in sorted(set(header)) if header.count(name) > 1]
    problems += [f"{column.name!r} is missing and must not be NULL." for column in _needed(table, header)]
    if problems:
        raise Discard(
            f"the file's header does not fit table {table.fullname}: {' '.join(problems)} Columns: {_listed(known)}"
        )


def _needed(table: Table, header: Sequence[str]) -> list[Column[Any]]:
    """Return the columns that the file lacks and the database cannot fill."""
    return [
        column
        for column in table.columns
        if column.name not in header
        and not column.nullable
        and column.server_default is None
        and column.identity is None
        and column.computed is None
        and column is not table.autoincrement_column
    ]


def _checked_key(connection: Connection, table: Table, header: Sequence[str], key: Sequence[str] | None) -> list[str]:
    """Return the columns that tell rows apart; they must be unique together, or an upsert could not find its row."""
    primary = [column.name for column in table.primary_key.columns]
    chosen = list(key or primary)
    if not chosen:
        raise Discard(f"table {table.fullname} has no primary key: name the key columns to upsert by.")
    if absent := [name for name in chosen if name not in header]:
        raise Discard(f"the key column {absent[0]!r} is not in the file's header: {_listed(header)}")
    with connection.begin():
        look = inspect(connection)
        unique: list[Any] = [
            constraint["column_names"] for constraint in look.get_unique_constraints(table.name, table.schema)
        ]
        unique += [index["column_names"] for index in look.get_indexes(table.name, table.schema) if index["unique"]]
    if set(chosen) not in [set(names) for names in [primary, *unique]]:
        raise Discard(
            f"the key ({', '.join(chosen)}) is not unique in table {table.fullname}: rows cannot be told apart by it. "
            "Use its primary key or make a unique index."
        )
    return chosen


def _reason(error: Exception) -> str:
    """Return the database's own words, without SQLAlchemy's statement and parameters."""
    return " ".join(str(getattr(error, "orig", error)).split())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:50])
    return shown if len(names) <= 50 else f"{shown}, ..."
