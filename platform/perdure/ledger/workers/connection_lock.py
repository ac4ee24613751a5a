"""A connection that a worker's main process keeps open for its life and beats on (PostgreSQL only).

The server sees it close when the process ends, however that ends and on whatever host, and frees the advisory lock that was
taken on it. Who finds the lock free and heartbeats missing need not wait until the whole lease has run out. A connection
that the network cut is taken anew at the next beat; a false alarm does no harm, since the fence keeps a worker that was
declared dead from writing. Locks of sessions: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import os
import weakref
from typing import Any

from sqlalchemy import Boolean, Connection, Double, bindparam, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from perdure.ledger.engine import Database
from perdure.ledger.schema import workers
from perdure.ledger.workers import register as worker_rows
from perdure.system.fork_gate import gate

#: When this server was started: locks that were taken before are gone, and say nothing.
_SERVER = "extract(epoch from pg_postmaster_start_time())::double precision"

# Shared, so that a worker that was cut off need not wait until the server has noticed that the old connection is dead.
_TAKE = select(func.pg_try_advisory_lock_shared(func.hashtextextended(bindparam("of_worker"), literal_column("0"))))
_NOTE = update(workers).where(workers.c.id == bindparam("of_worker")).values(life_line=literal_column(_SERVER, Double()))


class hung_up(FunctionElement[bool]):  # noqa: N801 - reads as the SQL function that it is
    """Whether a worker's row says that it had a life line, and that has been closed."""

    type = Boolean()
    name = "perdure_hung_up"
    inherit_cache = True


@compiles(hung_up, "sqlite")
def _sqlite(_element: hung_up, _compiler: Any, **_options: Any) -> str:
    return "0"


@compiles(hung_up, "postgresql")
def _postgresql(_element: hung_up, _compiler: Any, **_options: Any) -> str:
    return (
        f"(coalesce(perdure_workers.life_line = {_SERVER}, false) AND NOT EXISTS (SELECT FROM pg_locks"
        " WHERE pg_locks.locktype = 'advisory' AND pg_locks.objsubid = 1 AND pg_locks.granted"
        " AND (pg_locks.classid::bigint << 32 | pg_locks.objid::bigint) = hashtextextended(perdure_workers.id, 0)))"
    )


class LifeLine:
    """One worker's life line; made when it first beats, and again when it broke.

    Args:
        database: A PostgreSQL database.
        worker_id: The worker's incarnation.
    """

    def __init__(self, database: Database, worker_id: str) -> None:
        self._database = database
        self._worker = {"of_worker": worker_id}
        self._connection: Connection | None = None
        _lines.add(self)

    def beat(self) -> str | None:
        """Renew the worker's lease and return its state; None when the lease is lost.

        Raises:
            LedgerUnavailable: The database cannot be reached.
        """
        with gate, self._database.translating():
            try:
                return self._beat()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._beat()

    def close(self) -> None:
        """Close the connection; the lock is freed."""
        with gate:
            self._drop()

    def _beat(self) -> str | None:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
                if not self._database.pooler.found:  # else the lock would be a stranger's, and the lease alone tells
                    self._connection.execute(_TAKE, self._worker)
                    self._connection.execute(_NOTE, self._worker)
            return worker_rows.beat(self._connection, self._worker["of_worker"])
        except DBAPIError:
            self._drop()  # one that broke while it was made is of no use either
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _let_go(self) -> None:
        """Give up what a fork has copied, so that the parent's connection closes when the parent ends."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            _inherited.append(connection)
            if (socket := _socket(connection)) is not None:
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, socket)
                os.close(null)


_lines: weakref.WeakSet[LifeLine] = weakref.WeakSet()
#: Connections of the parent process, kept alive: finalising one would write to it.
_inherited: list[Connection] = []


def _socket(connection: Connection) -> int | None:
    assert connection.dialect.dbapi is not None
    try:
        number: int = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
    except connection.dialect.dbapi.Error:
        return None  # it is broken, and has none
    return number


def _let_go_of_inherited() -> None:
    for line in _lines:
        line._let_go()


os.register_at_fork(after_in_child=_let_go_of_inherited)
