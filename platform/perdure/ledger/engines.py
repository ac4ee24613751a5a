"""SQLAlchemy's engines, for all statements but those that are hot; see :mod:`perdure.ledger.driver` for these."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event

from perdure.ledger import sqlite
from perdure.ledger.faults import takes_no_writes
from perdure.settings.ledger_url import POOLER, LedgerUrl

_OWN = "perdure_autocommit"
#: Options of a connection that commits each statement by itself.
AUTOCOMMIT: dict[str, dict[str, Any]] = {"sqlite": {_OWN: True}, "postgresql": {"isolation_level": "AUTOCOMMIT"}}


def made(url: LedgerUrl, connect: Callable[[Any], Any]) -> Engine:
    """Return an engine.

    Args:
        url: The database.
        connect: Makes a connection of the driver, given what it adapts types by.
    """
    engine = create_engine(URL.create(**url._asdict()).difference_update_query([POOLER]), pool_use_lifo=True)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _how: Any, named: dict[str, Any]) -> Any:
        return connect(named.get("context"))

    (_sqlite_engine if url.dialect == "sqlite" else _postgresql_engine)(engine)
    return engine


def _sqlite_engine(engine: Engine) -> None:
    # Of one set of parameters: with several it runs in a transaction, which has the writer's place already.
    @event.listens_for(engine, "do_execute")
    def _execute(cursor: sqlite3.Cursor, statement: str, parameters: Any, _context: Any) -> bool:
        sqlite.when_free(lambda: cursor.execute(statement, parameters))
        return True  # it is done

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if _OWN not in connection.get_execution_options():
            connection.exec_driver_sql(sqlite.SqliteConnection.begin)


def _postgresql_engine(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error")
    def _leave_standby(context: ExceptionContext) -> None:
        # Another server may be the primary now. Pooled connections would stay with this one, however long that is so.
        if takes_no_writes(context.original_exception):
            context.is_disconnect = True
