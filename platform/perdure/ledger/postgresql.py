"""Connections to PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import psycopg

from perdure.ledger.dialects import Dialect
from perdure.ledger.driver import DriverConnection
from perdure.ledger.faults import takes_no_writes
from perdure.ledger.half_open import Patient
from perdure.ledger.pooler import Pooler

#: What libpq is asked for where the URL does not say otherwise. A host that vanishes (power, network) ends no connection:
#: who waits for an answer would wait for 15 minutes or for ever. The kernel gives it up after about 10 s with these. In
#: seconds, the last one in milliseconds. A server that lives answers probes whatever its statement takes.
#: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
CONNECTION = {
    "connect_timeout": 5,
    "application_name": "perdure",
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
#: What a session is told that runs hot statements alone, each of which has an index for whatever it reads. To plan a claim
#: takes the server as long as to run it, so it keeps the plans, for any values; and since a plan may have been made for an
#: empty table, none may read a table, or what an index finds in another order than that of its line.
_KEEPS_PLANS = """
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off;
    SET enable_sort = off; SET jit = off
"""
_NAMED = re.compile(r"(?<![:\w]):(\w+)(?!:)")


class PostgresConnection(DriverConnection):
    """See :class:`DriverConnection`."""

    dialect = Dialect("postgresql")
    begin = "BEGIN"
    error = psycopg.Error

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        super().__init__(raw)
        raw.autocommit = True

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        """See :meth:`DriverConnection.execute`."""
        cursor: psycopg.Cursor[Any] = self.raw.execute(_of_psycopg(statement), parameters)
        return cursor

    def is_dead(self, error: Exception) -> bool:
        """See :meth:`DriverConnection.is_dead`. Where one server takes no writes, another may be the primary now."""
        return self.raw.closed or takes_no_writes(error)


class HotConnection(PostgresConnection):
    """A connection whose server keeps the plans of what it runs."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        super().__init__(raw)
        if raw.prepare_threshold is not None:
            raw.execute(_KEEPS_PLANS, prepare=False)


def connect(arguments: Mapping[str, Any], pooler: Pooler, context: Any = None) -> Patient:
    """Return a connection that begins a transaction with its first statement, as drivers do.

    Args:
        arguments: Of libpq.
        pooler: What is known of the pooler in between; it is told what the connection says.
        context: Of ``psycopg.Connection.connect``.
    """
    connection = Patient.connect(context=context, **{**CONNECTION, **arguments})
    pooler.prepare(connection)
    connection.is_told_of = not pooler.found
    return connection


@cache
def _of_psycopg(statement: str) -> str:
    """Return a statement with its parameters as psycopg writes them."""
    return _NAMED.sub(r"%(\1)s", statement.replace("%", "%%"))
