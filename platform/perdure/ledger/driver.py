"""perdure's own connections to the database, for what a submit and a job wait for.

To load SQLAlchemy takes most of the time that a process needs which only submits, and its part in a statement that it has
compiled 0.2 ms, three times that after some idle time. So statements that are hot go to the database's driver as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Self, TypeVar

from perdure.ledger.dialects import Dialect
from perdure.ledger.faults import Refused
from perdure.system.fork_locks import fork_condition

Result = TypeVar("Result")

#: Connections of a process at once, and those of them that are kept: as many as SQLAlchemy's pool.
MOST, KEPT = 15, 5
#: Seconds that who finds all of them in use waits for one.
PATIENCE = 30.0


class DriverConnection(ABC):
    """A connection of the database's driver, which commits each statement outside of a transaction.

    Args:
        raw: The driver's connection.
    """

    dialect: Dialect
    #: How a transaction begins.
    begin: str
    #: The base of the driver's errors.
    error: type[Exception]

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @classmethod
    def made(cls, connect: Callable[[], Any]) -> Self:
        """Return what connects; raises :class:`Refused`, as statements do."""
        try:
            return cls(connect())
        except cls.error as error:
            raise Refused(error) from error

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement and return its rows; see :func:`perdure.ledger.direct.rows`."""
        try:
            found: Sequence[Any] = self.execute(statement, parameters).fetchall()
        except self.error as error:
            raise self._refused(error, statement) from error
        return found

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """Run a statement that returns no rows."""
        try:
            self.execute(statement, parameters)
        except self.error as error:
            raise self._refused(error, statement) from error

    def transact(self, work: Callable[[Self], Result]) -> Result:
        """Return what work returns in a transaction, which commits when that ends without an error."""
        self.run(self.begin, {})
        try:
            result = work(self)
        except BaseException:
            with suppress(self.error):
                self.execute("ROLLBACK", {})
            raise
        self.run("COMMIT", {})
        return result

    def close(self) -> None:
        """Close it."""
        self.raw.close()

    @abstractmethod
    def execute(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        """Run a statement and return the driver's cursor."""

    @abstractmethod
    def is_dead(self, error: Exception) -> bool:
        """Return whether another connection may do what this one could not."""

    def _refused(self, error: Exception, statement: str) -> Refused:
        return Refused(error, statement, connection_invalidated=self.is_dead(error))


class Connections:
    """The connections of one process.

    Args:
        connect: Makes one.
    """

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        self._connect = connect
        self._changed = fork_condition()
        self._reset()

    def run(self, work: Callable[[DriverConnection], Result], *, autocommit: bool) -> Result:
        """Return what work returns on a connection that nobody else uses meanwhile.

        One on which anything failed is not used again.

        Args:
            work: What to do.
            autocommit: Whether each statement commits by itself; else they are one transaction.

        Raises:
            Refused: None could be made, or all were in use for too long.
        """
        connection = self._take()
        try:
            result = work(connection) if autocommit else connection.transact(work)
        except BaseException:
            self._drop(connection)
            raise
        self._give_back(connection)
        return result

    def close(self) -> None:
        """Close those that nobody uses."""
        with suppress(IndexError):
            while True:
                self._drop(self._idle.pop())

    def leave(self) -> list[DriverConnection]:
        """Return those that nobody uses, and have them no more: in a forked child, whose parent goes on with them."""
        left = self._idle
        self._reset()
        return left

    def _take(self) -> DriverConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._another()

    def _another(self) -> DriverConnection:
        """Return one that somebody gives back, or a new one where there is room for it."""
        with self._changed:
            self._waiting += 1
            found = self._changed.wait_for(self._idle_or_room, PATIENCE)
            self._waiting -= 1
        if found is None:
            raise Refused(TimeoutError(f"all {MOST} connections of this process were in use for {PATIENCE:g} s"))
        if isinstance(found, DriverConnection):
            return found
        try:
            return self._connect()
        except BaseException:
            self._make_room()
            raise

    def _idle_or_room(self) -> DriverConnection | Literal[True] | None:
        """Return an idle one, whether there is room for one more, which is taken, or None."""
        try:
            return self._idle.pop()
        except IndexError:
            if self._open == MOST:
                return None
            self._open += 1
            return True

    def _give_back(self, connection: DriverConnection) -> None:
        if len(self._idle) >= KEPT:
            self._drop(connection)
            return
        self._idle.append(connection)
        if self._waiting:  # who waits counts itself before it looks, so that one of both sees the other
            with self._changed:
                self._changed.notify()

    def _drop(self, connection: DriverConnection) -> None:
        connection.close()
        self._make_room()

    def _make_room(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def _reset(self) -> None:
        self._idle: list[DriverConnection] = []
        #: How many there are, those in use included, and how many threads wait for one.
        self._open = self._waiting = 0
