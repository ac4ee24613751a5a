"""A connection that a worker's main process keeps open for its life and beats on (PostgreSQL only).

The server sees it close when the process ends, however that ends and on whatever host, and frees the advisory lock that was
taken on it. Who finds the lock free and heartbeats missing need not wait until the whole lease has run out. A connection
that the network cut is taken anew at the next beat; a false alarm does no harm, since the fence keeps a worker that was
declared dead from writing. Locks of sessions: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.faults import says_connection_is_dead
from perdure.ledger.workers import register as worker_rows
from perdure.system.fork_gate import gate

if TYPE_CHECKING:
    from perdure.ledger.driver import DriverConnection
    from perdure.ledger.engine import Database

#: When this server was started: locks that were taken before are gone, and say nothing.
_SERVER = "CAST(extract(epoch from pg_postmaster_start_time()) AS double precision)"

# Shared, so that a worker that was cut off need not wait until the server has noticed that the old connection is dead.
_TAKE = "SELECT pg_try_advisory_lock_shared(hashtextextended(:of_worker, 0))"
_NOTE = f"UPDATE perdure_workers SET life_line = {_SERVER} WHERE id = :of_worker"

#: Whether a worker's row says that it had a life line, and that has been closed.
HUNG_UP = {
    "sqlite": "FALSE",
    "postgresql": f"""(coalesce(perdure_workers.life_line = {_SERVER}, false) AND NOT EXISTS (
        SELECT FROM pg_locks WHERE pg_locks.locktype = 'advisory' AND pg_locks.objsubid = 1 AND pg_locks.granted
            AND (CAST(pg_locks.classid AS bigint) << 32 | CAST(pg_locks.objid AS bigint))
                = hashtextextended(perdure_workers.id, 0)
    ))""",
}


class LifeLine:
    """One worker's life line; made when it first beats, and again when it broke.

    Args:
        database: A PostgreSQL database.
        worker_id: The worker's incarnation.
    """

    def __init__(self, database: Database, worker_id: str) -> None:
        self._database = database
        self._worker = {"of_worker": worker_id}
        self._connection: DriverConnection | None = None
        _lines.add(self)

    def beat(self) -> str | None:
        """Renew the worker's lease and return its state; None when the lease is lost.

        Raises:
            LedgerUnavailable: The database cannot be reached.
        """
        with gate, self._database.translating():
            try:
                return self._beat()
            except Exception as error:
                if not says_connection_is_dead(error):
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
                    direct.rows(self._connection, _TAKE, self._worker)
                    direct.run(self._connection, _NOTE, self._worker)
            return worker_rows.beat(self._connection, self._worker["of_worker"])
        except Exception:
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
_inherited: list[DriverConnection] = []


def _socket(connection: DriverConnection) -> int | None:
    try:
        number: int = connection.raw.fileno()
    except connection.error:
        return None  # it is broken, and has none
    return number


def _let_go_of_inherited() -> None:
    for line in _lines:
        line._let_go()


os.register_at_fork(after_in_child=_let_go_of_inherited)
