"""Connections to SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from perdure.ledger.dialects import Dialect
from perdure.ledger.driver import DriverConnection

#: Seconds that a statement waits for SQLite's one writer before it fails.
BUSY_TIMEOUT = 30.0
#: Milliseconds after which SQLite gives the wait up, and is asked anew. Its pauses grow to 100 ms within a quarter of a
#: second, so that who has waited long comes last, and several writers sleep most of the time while nobody writes.
PATIENCE_MS = 3
#: The pause before that, as a part of what was waited so far, and in seconds at most.
PAUSE, LONGEST_PAUSE = 0.1, 0.02
#: Kilobytes of the file that a connection keeps, not 2,000 as by default: a worker has several, and to read a page again
#: that the system has in memory takes a microsecond.
CACHE_KB = 500

R = TypeVar("R")


class SqliteConnection(DriverConnection):
    """See :class:`DriverConnection`."""

    dialect = Dialect("sqlite")
    # The writer's place is taken at once: a deferred transaction that turns into a writer can fail at once with
    # SQLITE_BUSY, whatever the busy timeout.
    begin = "BEGIN IMMEDIATE"
    error = sqlite3.Error

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        """See :meth:`DriverConnection.execute`."""
        cursor: sqlite3.Cursor = when_free(lambda: self.raw.execute(statement, parameters))
        return cursor

    def is_dead(self, error: Exception) -> bool:
        """See :meth:`DriverConnection.is_dead`."""
        return False


def connect(arguments: Mapping[str, Any], durability: str) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself.

    Args:
        arguments: Of ``sqlite3.connect``.
        durability: See :class:`perdure.ledger.engine.Database`.
    """
    own: dict[str, Any] = {"timeout": BUSY_TIMEOUT, "check_same_thread": False, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(**arguments, **own)
    # Who does so while others open the file is refused at once, whatever the timeout.
    when_free(lambda: connection.execute("PRAGMA journal_mode=WAL"))
    connection.execute(f"PRAGMA synchronous={durability.upper()}")
    connection.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
    connection.execute(f"PRAGMA cache_size={-CACHE_KB}")
    return connection


def when_free(execute: Callable[[], R]) -> R:
    """Execute a statement as soon as SQLite's writer lets it.

    Raises:
        sqlite3.OperationalError: It failed, or the writer took longer than :data:`BUSY_TIMEOUT`.
    """
    began = time.monotonic()
    while True:
        try:
            return execute()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not _is_busy(error) or waited > BUSY_TIMEOUT:
                raise
            time.sleep(min(waited * PAUSE, LONGEST_PAUSE))


def _is_busy(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # which errors of the driver's own lack
    return code & 0xFF == sqlite3.SQLITE_BUSY
