"""Connections to the ledger's database: made on first use, never carried across a fork."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from perdure.errors import LedgerUnavailable, SettingsError
from perdure.ledger.driver import Connections, DriverConnection
from perdure.ledger.faults import Refused, is_about_the_database, is_about_the_ledger, outstayed, says_connection_is_dead
from perdure.ledger.pooler import Pooler
from perdure.model.faults.places import LEDGER, STATEMENT, At, Point, faulty
from perdure.model.text.masked_url import masked_url
from perdure.settings.ledger_url import POOLER, for_sqlalchemy, ledger_url
from perdure.system.fork_gate import gate
from perdure.system.fork_locks import fork_lock, once
from perdure.system.later import later

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Pool, exc

    from perdure.ledger import engines, postgresql, sqlite
else:
    (exc,) = later("sqlalchemy", "exc")
    # SQLAlchemy and each database's driver are for who needs them.
    engines, postgresql, sqlite = later("perdure.ledger", "engines", "postgresql", "sqlite")

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
        self.dialect = self._url.dialect
        #: The URL without its password, for messages.
        self.name = masked_url(for_sqlalchemy(url))
        self._translation = _Translation(self.name)
        self.pooler = Pooler(str(self._url.query.get(POOLER, "auto")))
        self._durability = durability
        self._own = Connections(self._connected)
        #: Those of hot statements. PostgreSQL keeps their plans; SQLite has one kind of connection.
        self._hot = self._own if self.dialect == "sqlite" else Connections(self._connected_hot)
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
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite database."""
        path = self._url.database
        return Path(path) if self.dialect == "sqlite" and path else None

    @property
    def engine(self) -> Engine:
        """This process' engine of SQLAlchemy; a forked child gets a new one and leaves its parent's connections alone."""
        if self._engine is None or self._pid != os.getpid():
            with self._lock:
                if self._engine is None or self._pid != os.getpid():
                    self._engine = engines.made(self._url, self.connect_driver)
                    # Kept, because to make one for each statement costs as much as the statement.
                    self._autocommitting = self._engine.execution_options(**engines.AUTOCOMMIT[self.dialect])
                    self._pid = os.getpid()
                    self._has_worked = False
        return self._engine

    @once
    def _arguments(self) -> dict[str, Any]:
        return self._url.arguments()

    def connect_driver(self, context: Any = None) -> Any:
        """Return a new connection of the database's driver.

        Args:
            context: What psycopg adapts types by; by default its own.

        Raises:
            LedgerUnavailable: The folder of a SQLite file cannot be made.
            Exception: The driver's own error: there is none.
        """
        if self.dialect == "postgresql":
            return postgresql.connect(self._arguments, self.pooler, context)
        path = self.sqlite_path
        if path is not None:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerUnavailable(f"ledger {self.name}: {error}") from error
        return sqlite.connect(self._arguments, self._durability)

    def _connected(self) -> DriverConnection:
        kind = sqlite.SqliteConnection if self.dialect == "sqlite" else postgresql.PostgresConnection
        return kind.made(self.connect_driver)

    def _connected_hot(self) -> DriverConnection:
        return postgresql.HotConnection.made(self.connect_driver)

    def run(
        self,
        work: Callable[[Any], Result],
        *,
        autocommit: bool = False,
        direct: bool = False,
        hot: bool = False,
        at: At = STATEMENT,
    ) -> Result:
        """Return what ``work`` returns on a connection, in a transaction that commits when it ends without an error.

        When the connection turns out to be dead, as after a restart of the server, the work is run once more on a new
        one. The outcome of a commit on a dead connection is unknown, so all work must be safe to repeat.

        Args:
            work: What to do; called with the connection.
            autocommit: Commit each statement by itself: for reads and single-statement writes.
            direct: The work runs text by :mod:`perdure.ledger.direct` alone, so that it needs no SQLAlchemy.
            hot: It is that, and all that it reads it finds by an index: PostgreSQL keeps its plans.
            at: What it is, for injected faults.

        Raises:
            LedgerUnavailable: The database cannot be reached or refuses to work.
        """
        own = self._hot if hot else self._own if direct else None
        with gate, self._translation:
            run = self._run
            for point in at.points:
                run = faulty(run, point, _connection_lost, store=LEDGER, bulkhead=at.bulkhead)
            try:
                return run(work, autocommit, own)
            except Exception as error:
                if not says_connection_is_dead(error):
                    raise
                self._close_idle()  # others are as dead, and some work is not repeated
                return run(work, autocommit, own)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits when the block ends without an error; it is run once only.

        What the block raises is raised as it is: see :meth:`translating` and :meth:`translating_theirs`.

        Raises:
            LedgerUnavailable: The database cannot be reached; if at the end, whether it was committed is not known.
        """
        with gate:
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

    def _run(self, work: Callable[[Any], Result], autocommit: bool, own: Connections | None) -> Result:
        if own is not None and not self._is_listened_to():
            return own.run(work, autocommit=autocommit)
        result = self._run_by_sqlalchemy(work, autocommit)
        self._has_worked = True
        return result

    def _is_listened_to(self) -> bool:
        """Return whether somebody has SQLAlchemy tell of statements, as tracing does: then it has to run them."""
        return "sqlalchemy" in sys.modules and bool(self.engine.dispatch.before_cursor_execute)

    def _run_by_sqlalchemy(self, work: Callable[[Connection], Result], autocommit: bool) -> Result:
        if not autocommit:
            with self._beginning() as connection:
                return work(connection)
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

    def connect(self) -> DriverConnection:
        """Return a connection that is nobody else's and commits each statement; the caller closes it."""
        return self._connected()

    def close(self) -> None:
        """Close this process' connections."""
        self._close_idle()
        self._engine = self._autocommitting = None

    def close_idle(self) -> None:
        """Close this process' connections to a SQLite file that nobody uses now; see :mod:`perdure.system.fork_gate`."""
        if self.dialect == "sqlite":
            self._close_idle()

    def _close_idle(self) -> None:
        self._own.close()
        self._hot.close()
        self._give_back()
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()

    def translating(self) -> AbstractContextManager[None]:
        """Raise a driver's errors about the database itself as ``LedgerUnavailable``; for perdure's own statements."""
        return self._translation

    @contextmanager
    def translating_theirs(self, connection: Connection) -> Iterator[None]:
        """Raise ``LedgerUnavailable`` for what is no fault of the statements that somebody else runs on a connection."""
        try:
            yield
        except exc.DBAPIError as error:
            if (connection.invalidated and not outstayed(error)) or is_about_the_database(error):
                raise _unavailable(self.name, error) from error
            raise

    def _leave_inherited(self) -> None:
        """Leave the parent's connections alone, in a child that was forked a moment ago.

        An engine that has worked is kept, with new connections to come: what it has compiled is in memory that both
        share. One that has not, or that was in use, may have a lock that nobody releases.
        """
        _inherited.extend((*self._own.leave(), *self._hot.leave(), *self._at_hand))
        self._at_hand = []
        if self._engine is not None and self._has_worked and gate.was_quiet:
            _inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        else:
            _inherited.extend((self._engine, self._autocommitting))
            self._engine = self._autocommitting = None


class _Translation(AbstractContextManager[None]):
    """See :meth:`Database.translating`; loads SQLAlchemy for none of the errors that it has not raised."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Refused):
            is_ours = is_about_the_ledger(error)
        elif error is None or "sqlalchemy" not in sys.modules:
            return
        else:
            of_pool = isinstance(error, exc.TimeoutError)
            is_ours = of_pool or (isinstance(error, exc.DBAPIError) and is_about_the_ledger(error))
        if is_ours:
            raise _unavailable(self._name, error) from error


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
#: Of the parent process: kept alive, because finalising its connections here would end them there as well.
_inherited: list[DriverConnection | Connection | Engine | Pool | None] = []


def _leave_inherited() -> None:
    for database in _databases:
        database._leave_inherited()


def _close_idle() -> None:
    for database in list(_databases):
        database.close_idle()


gate.idle.append(_close_idle)
os.register_at_fork(after_in_child=_leave_inherited)


def _connection_lost(why: str) -> Refused:
    return Refused(ConnectionError(why), connection_invalidated=True)


def _unavailable(name: str, error: BaseException) -> LedgerUnavailable:
    return LedgerUnavailable(f"ledger {name}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
