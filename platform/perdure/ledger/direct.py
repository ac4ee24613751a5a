"""Statements on the driver's own cursor: those that a submit and the start of a job wait for.

SQLAlchemy's part in a statement that it has compiled takes 0.2 ms of processor time, and three times that after some idle
time, when nothing of it is left in the processor's caches: half of what a claim costs its client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, TextClause

#: The option of perdure's own connections that commit each statement by itself: executes one, given cursor, SQL and values.
DIRECT: Final = "perdure_direct"


def rows(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement and return its rows.

    In a transaction, on somebody else's connection and where somebody listens to statements it is run as any other one.

    Args:
        connection: Where to run it.
        statement: Text whose parameters need no type of SQLAlchemy's.
        parameters: Their values.

    Raises:
        sqlalchemy.exc.DBAPIError: As of any other statement.
    """
    execute: Callable[..., object] | None = connection.get_execution_options().get(DIRECT)
    if execute is None or connection.dispatch.before_cursor_execute:
        result = connection.execute(statement, parameters)
        return result.all() if result.returns_rows else []
    sql, order = _of_driver(statement, type(connection.dialect))
    values = parameters if order is None else [parameters[name] for name in order]
    cursor: Any = connection.connection.cursor()
    try:
        execute(cursor, sql, values)
        return cursor.fetchall() if cursor.description else []  # type: ignore[no-any-return]
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
