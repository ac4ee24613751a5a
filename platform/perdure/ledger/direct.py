"""Statements that are written as text: on perdure's own connection to the database, or on one of SQLAlchemy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from perdure.ledger.driver import DriverConnection

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

    Where = DriverConnection | Connection


def rows(connection: Where, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement that returns rows, and return them.

    Args:
        connection: Where to run it.
        statement: SQL whose parameters are written like ``:name``.
        parameters: Their values, of types that the drivers know.

    Raises:
        Refused, sqlalchemy.exc.DBAPIError: The database or the driver refused it.
    """
    if isinstance(connection, DriverConnection):
        return connection.rows(statement, parameters)
    return connection.execute(_text(statement), parameters).all()


def run(connection: Where, statement: str, parameters: Mapping[str, Any]) -> None:
    """Run a statement that returns none; see :func:`rows`."""
    if isinstance(connection, DriverConnection):
        connection.run(statement, parameters)
    else:
        connection.execute(_text(statement), parameters)


@cache
def _text(statement: str) -> TextClause:
    from sqlalchemy import text

    return text(statement)
