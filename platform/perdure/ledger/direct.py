"""Statements on the driver's own cursor: those that a submit and a job wait for.

SQLAlchemy's part in a statement that it has compiled takes 0.2 ms of processor time, and three times that after some idle
time, when nothing of it is left in the processor's caches: half of what a claim costs its client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, TextClause

Execute = Callable[[Any, str, Any], object]

#: The option of perdure's own connections: executes a statement, given cursor, SQL and values.
DIRECT: Final = "perdure_direct"


def rows(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement that returns rows, and return them.

    On somebody else's connection, and where somebody listens to statements, it is run as any other one.

    Args:
        connection: Where to run it.
        statement: Text whose parameters need no type of SQLAlchemy's.
        parameters: Their values.

    Raises:
        sqlalchemy.exc.DBAPIError: As of any other statement.
    """
    execute = _way(connection)
    if execute is None:
        return connection.execute(statement, parameters).all()
    with _cursor(connection, statement, parameters, execute) as cursor:
        return cursor.fetchall()  # type: ignore[no-any-return]


def run(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> None:
    """Run a statement that returns none; see :func:`rows`."""
    execute = _way(connection)
    if execute is None:
        connection.execute(statement, parameters)
        return
    with _cursor(connection, statement, parameters, execute):
        pass


def _way(connection: Connection) -> Execute | None:
    if connection.dispatch.before_cursor_execute:
        return None
    return connection.get_execution_options().get(DIRECT)


@contextmanager
def _cursor(
    connection: Connection, statement: TextClause, parameters: Mapping[str, Any], execute: Execute
) -> Iterator[Any]:
    dialect: Any = type(connection.dialect)  # which mypy takes for a protocol that has no hash
    sql, order = _of_driver(statement, dialect)
    values = parameters if order is None else [parameters[name] for name in order]
    cursor: Any = connection.connection.cursor()
    try:
        execute(cursor, sql, values)
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        # As of its own statements: it lets go of connections that are dead, has listeners judge, and raises.
        connection._handle_dbapi_exception(error, sql, values, cursor, None)
    finally:
        cursor.close()


@cache
def _of_driver(statement: TextClause, dialect: type[Dialect]) -> tuple[str, Sequence[str] | None]:
    """Return a statement as a driver reads it, and the order of its parameters where they have no names."""
    compiled: Any = statement.compile(dialect=dialect())
    return compiled.string, compiled.positiontup
