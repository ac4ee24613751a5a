"""Connections to the ledger's database: made on first use, never carried across a fork."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, ExceptionContext, Pool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from perdure.errors import LedgerUnavailable, SettingsError
from perdure.ledger.direct import DIRECT
from perdure.ledger.faults import is_about_the_database, is_about_the_ledger, outstayed, takes_no_writes
from perdure.ledger.pooler import Pooler
from perdure.model.faults.places import LEDGER, STATEMENT, At, Point, faulty
from perdure.model.text.masked_url import masked_url
from perdure.settings.ledger_url import POOLER, ledger_url
from perdure.system.fork_gate import gate
from perdure.system.fork_locks import fork_lock

#: Seconds that a statement waits for SQLite's one writer before it fails.
SQLITE_BUSY_TIMEOUT = 30.0
#: Milliseconds after which SQLite gives the wait up, and is asked anew. Its pauses grow to 100 ms within a quarter of a
#: second, so that who has waited long comes last, and several writers sleep most of the time while nobody writes.
SQLITE_PATIENCE_MS = 3
#: The pause before that, as a part of what was waited so far, and in seconds at most.
SQLITE_PAUSE, SQLITE_LONGEST_PAUSE = 0.1, 0.02
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

Result = TypeVar("Result")


class Database:
    """One database, as this process sees it.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL.
        durability: What a SQLite commit survives: ``normal`` the death of every process, ``full`` a power cut as well.

    Raises:
        SettingsError: The URL is of another kind of database or is no URL.
    """

    def __init__(self, url: str, durability: Literal["normal", "full"] = "normal") -> None:
        try:
            self._url = ledger_url(url)
        except ValueError as error:
            raise SettingsError(f"ledger_url: {error}") from None
        self.dialect = self._url.get_backend_name()
        self.pooler = Pooler(str(self._url.query.get(POOLER, "auto")))
        self._url = self._url.difference_update_query([POOLER])
        self._durability = durability
        self._engine: Engine | None = None
        self._autocommitting: Engine | None = None
        #: The connection that was used last and commits each statement, if nobody uses it now: to give it back to the pool
        #: and to take it out and make it ready again takes a third of a millisecond after some idle time.
        self._at_hand: list[Connection] = []
        self._has_worked = False
        self._pid = 0
        self._lock = fork_lock()
        _databases.add(self)

    @property
    def name(self) -> str:
        """The URL without its password, for messages."""
        return masked_url(self._url.render_as_string(hide_password=True))

    @property
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite database."""
        path = self._url.database
        return Path(path) if self.dialect == "sqlite" and path else None

    @property
    def engine(self) -> Engine:
        """This process' engine; a forked child gets a new one and leaves its parent's connections alone."""
        if self._engine is None or self._pid != os.getpid():
            with self._lock:
                if self._engine is None or self._pid != os.getpid():
                    self._engine = self._connectable()
                    # Kept, because to make one for each statement costs as much as the statement.
                    self._autocommitting = self._engine.execution_options(**_AUTOCOMMIT[self.dialect])
                    self._pid = os.getpid()
                    self._has_worked = False
        return self._engine

    def run(self, work: Callable[[Connection], Result], *, autocommit: bool = False, at: At = STATEMENT) -> Result:
        """Return what ``work`` returns on a connection, in a transaction that commits when it ends without an error.

        When the connection turns out to be dead, as after a restart of the server, the work is run once more on a new
        one. The outcome of a commit on a dead connection is unknown, so all work must be safe to repeat.

        Args:
            work: What to do; called with the connection.
            autocommit: Commit each statement by itself: for reads and single-statement writes.
            at: What it is, for injected faults.

        Raises:
            LedgerUnavailable: The database cannot be reached or refuses to work.
        """
        with gate.use(), self.translating():
            run = self._run
            for point in at.points:
                run = faulty(run, point, _connection_lost, store=LEDGER, bulkhead=at.bulkhead)
            try:
                result = run(work, autocommit)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                result = run(work, autocommit)
            self._has_worked = True
            return result

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits when the block ends without an error; it is run once only.

        What the block raises is raised as it is: see :meth:`translating` and :meth:`translating_theirs`.

        Raises:
            LedgerUnavailable: The database cannot be reached; if at the end, whether it was committed is not known.
        """
        with gate.use():
            begun = self._beginning()
            with self.translating():
                connection = begun.__enter__()
            try:
                yield connection
            except BaseException:
                with self.translating():  # what fails now is the way back
                    begun.__exit__(*sys.exc_info())
                raise
            with self.translating():
                faulty(begun.__exit__, Point.COMMIT, _connection_lost, store=LEDGER)(None, None, None)

    def _run(self, work: Callable[[Connection], Result], autocommit: bool) -> Result:
        if not autocommit:
            with self._beginning() as connection:
                return work(connection.execution_options(**_DIRECT[self.dialect]))
        connection = self._autocommit()
        try:
            result = work(connection)
            if connection.in_transaction():
                connection.rollback()  # of which the database knows nothing
        except BaseException:
            connection.close()
            self._give_back()  # the pool knows whether to make it anew
            raise
        self._at_hand.append(connection)
        if len(self._at_hand) > 1:  # another thread's
            self._give_back()
        return result

    def _autocommit(self) -> Connection:
        _ = self.engine  # makes both
        assert self._autocommitting is not None
        try:
            return self._at_hand.pop()
        except IndexError:
            return self._autocommitting.connect()

    def _beginning(self) -> AbstractContextManager[Connection]:
        """Return what begins a transaction, on the connection that is at hand if there is one."""
        self._give_back()
        return self.engine.begin()

    def _give_back(self) -> None:
        """Give a connection that is at hand back to the pool."""
        with suppress(IndexError):
            self._at_hand.pop().close()

    def connect(self) -> Connection:
        """Return a connection outside of the pool that commits each statement; the caller closes it."""
        _ = self.engine  # makes both
        assert self._autocommitting is not None
        connection = self._autocommitting.connect()
        connection.detach()
        return connection

    def close(self) -> None:
        """Close this process' connections."""
        self._give_back()
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()
        self._engine = self._autocommitting = None

    def close_idle(self) -> None:
        """Close this process' connections to a SQLite file that nobody uses now; see :mod:`perdure.system.fork_gate`."""
        if self._engine is not None and self.dialect == "sqlite" and self._pid == os.getpid():
            self._give_back()
            self._engine.dispose()

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Raise a driver's errors about the database itself as ``LedgerUnavailable``; for perdure's own statements."""
        try:
            yield
        except PoolTimeout as error:
            raise self._unavailable(error) from error
        except DBAPIError as error:
            if is_about_the_ledger(error):
                raise self._unavailable(error) from error
            raise

    @contextmanager
    def translating_theirs(self, connection: Connection) -> Iterator[None]:
        """Raise ``LedgerUnavailable`` for what is no fault of the statements that somebody else runs on a connection."""
        try:
            yield
        except DBAPIError as error:
            if (connection.invalidated and not outstayed(error)) or is_about_the_database(error):
                raise self._unavailable(error) from error
            raise

    def _unavailable(self, error: BaseException) -> LedgerUnavailable:
        return LedgerUnavailable(f"ledger {self.name}: {_first_line(error)}")

    def _leave_inherited(self) -> None:
        """Leave the parent's connections alone, in a child that was forked a moment ago.

        An engine that has worked is kept, with new connections to come: what it has compiled is in memory that both
        share. One that has not, or that was in use, may have a lock that nobody releases.
        """
        _inherited.extend(self._at_hand)
        self._at_hand = []
        if self._engine is not None and self._has_worked and gate.was_quiet:
            _inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        else:
            _inherited.extend((self._engine, self._autocommitting))
            self._engine = self._autocommitting = None

    def _connectable(self) -> Engine:
        return _sqlite_engine(self) if self.dialect == "sqlite" else _postgresql_engine(self)


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
#: Of the parent process: kept alive, because finalising its connections here would end them there as well.
_inherited: list[Connection | Engine | Pool | None] = []


def _leave_inherited() -> None:
    for database in _databases:
        database._leave_inherited()


def _close_idle() -> None:
    for database in list(_databases):
        database.close_idle()


gate.idle.append(_close_idle)
os.register_at_fork(after_in_child=_leave_inherited)


def _sqlite_engine(database: Database) -> Engine:
    path = database.sqlite_path
    if path is not None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerUnavailable(f"ledger {database.name}: {error}") from error
    engine = create_engine(database._url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by _begin, not by the driver's guesses
        # Who does so while others open the file is refused at once, whatever the timeout.
        _when_free(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        connection.execute(f"PRAGMA synchronous={database._durability.upper()}")
        connection.execute(f"PRAGMA busy_timeout={SQLITE_PATIENCE_MS}")

    # Of one set of parameters: with several it runs in a transaction, which has the writer's place already.
    @event.listens_for(engine, "do_execute")
    def _execute(cursor: sqlite3.Cursor, statement: str, parameters: Any, _context: Any) -> bool:
        return _execute_when_free(cursor, statement, parameters)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if "perdure_autocommit" not in connection.get_execution_options():
            # The writer's place is taken at once: a deferred transaction that turns into a writer can fail at once
            # with SQLITE_BUSY, whatever the busy timeout.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _execute_when_free(cursor: Any, statement: str, parameters: Any) -> bool:
    return _when_free(lambda: cursor.execute(statement, parameters))


def _when_free(execute: Callable[[], object]) -> bool:
    """Execute a statement as soon as SQLite's writer lets it, and tell SQLAlchemy that it is done.

    Raises:
        sqlite3.OperationalError: It failed, or the writer took longer than :data:`SQLITE_BUSY_TIMEOUT`.
    """
    began = time.monotonic()
    while True:
        try:
            execute()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not _is_busy(error) or waited > SQLITE_BUSY_TIMEOUT:
                raise
            time.sleep(min(waited * SQLITE_PAUSE, SQLITE_LONGEST_PAUSE))
        else:
            return True


def _is_busy(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # which errors of the driver's own lack
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _postgresql_engine(database: Database) -> Engine:
    engine = create_engine(
        database._url,
        pool_pre_ping=False,
        pool_use_lifo=True,
        connect_args={name: value for name, value in CONNECTION.items() if name not in database._url.query},
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, how: tuple[Any, ...], named: dict[str, Any]) -> Any:
        from perdure.ledger.half_open import Patient  # the driver is there now, and need not be without PostgreSQL

        return Patient.connect(*how, **named)

    @event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy's own look at a new server
    def _prepare(connection: Any, _record: Any) -> None:
        database.pooler.prepare(connection)
        connection.is_told_of = not database.pooler.found

    @event.listens_for(engine, "handle_error")
    def _leave_standby(context: ExceptionContext) -> None:
        # Another server may be the primary now. Pooled connections would stay with this one, however long that is so.
        if takes_no_writes(context.original_exception):
            context.is_disconnect = True

    return engine


def _execute(cursor: Any, statement: str, parameters: Any) -> None:
    cursor.execute(statement, parameters)


#: Options of perdure's own connections; and of those that commit each statement by itself.
_DIRECT: dict[str, dict[str, Any]] = {"sqlite": {DIRECT: _execute_when_free}, "postgresql": {DIRECT: _execute}}
_AUTOCOMMIT: dict[str, dict[str, Any]] = {
    "sqlite": {"perdure_autocommit": True, **_DIRECT["sqlite"]},
    "postgresql": {"isolation_level": "AUTOCOMMIT", **_DIRECT["postgresql"]},
}


def _connection_lost(why: str) -> DBAPIError:
    return DBAPIError(None, None, ConnectionError(why), connection_invalidated=True)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
