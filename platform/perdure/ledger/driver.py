"""perdure's own connections to the database, for what a submit and a job wait for.

To load SQLAlchemy takes most of the time that a process needs which only submits, and its part in a statement that it has
compiled 0.2 ms, three times that after some idle time. So statements that are hot go to the database's driver as they are.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

from perdure.ledger.dialects import Dialect

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
        """Return what connects; raises as statements do."""
        try:
            return cls(connect())
        except cls.error as error:
            raise _as_sqlalchemys(error, cls.error) from error

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement and return its rows; see :func:`perdure.ledger.direct.rows`."""
        try:
            found: Sequence[Any] = self.execute(statement, parameters).fetchall()
        except self.error as error:
            raise self._refused(error, statement, parameters) from error
        return found

    def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """Run a statement that returns no rows."""
        try:
            self.execute(statement, parameters)
        except self.error as error:
            raise self._refused(error, statement, parameters) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done in the block when it ends without an error, and nothing of it otherwise."""
        self.run(self.begin, {})
        try:
            yield
        except BaseException:
            with suppress(self.error):
                self.execute("ROLLBACK", {})
            raise
        self.run("COMMIT", {})

    def close(self) -> None:
        """Close it."""
        self.raw.close()

    @abstractmethod
    def execute(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        """Run a statement and return the driver's cursor."""

    @abstractmethod
    def is_dead(self, error: Exception) -> bool:
        """Return whether another connection may do what this one could not."""

    def _refused(self, error: Exception, statement: str, parameters: Mapping[str, Any]) -> BaseException:
        return _as_sqlalchemys(error, self.error, statement, dict(parameters), is_dead=self.is_dead(error))


class Connections:
    """The connections of one process.

    Args:
        connect: Makes one.
    """

    def __init__(self, connect: Callable[[], DriverConnection]) -> None:
        self._connect = connect
        self._reset()

    @contextmanager
    def lend(self) -> Iterator[DriverConnection]:
        """Yield a connection that nobody else uses meanwhile. One on which anything failed is not used again.

        Raises:
            sqlalchemy.exc.DBAPIError: None could be made.
            sqlalchemy.exc.TimeoutError: All were in use for too long.
        """
        if not self._places.acquire(timeout=PATIENCE):
            from sqlalchemy.exc import TimeoutError

            raise TimeoutError(f"all {MOST} connections of this process were in use for {PATIENCE:g} s")
        try:
            connection = self._one()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if len(self._idle) < KEPT:
                self._idle.append(connection)
            else:
                connection.close()
        finally:
            self._places.release()

    def close(self) -> None:
        """Close those that nobody uses."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def leave(self) -> list[DriverConnection]:
        """Return those that nobody uses, and have them no more: in a forked child, whose parent goes on with them."""
        left = self._idle
        self._reset()
        return left

    def _one(self) -> DriverConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _reset(self) -> None:
        self._idle: list[DriverConnection] = []
        self._places = threading.Semaphore(MOST)


def _as_sqlalchemys(
    error: Exception, base: type[Exception], statement: str | None = None, parameters: Any = None, *, is_dead: bool = False
) -> BaseException:
    """Return a driver's error as SQLAlchemy raises it: who catches errors need not know who ran a statement."""
    from sqlalchemy.exc import DBAPIError

    return DBAPIError.instance(statement, parameters, error, base, connection_invalidated=is_dead)
