"""Noticing that nobody is left who could answer (PostgreSQL).

A host that vanishes is found out by the kernel's probes: see ``CONNECTION`` in :mod:`perdure.ledger.engine`. Something in
between may answer these, a load balancer or a proxy whose other side is gone; then who waits for an answer waits for ever.
So who has waited for a while asks the server, on a new connection, whether it still works for this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

import psycopg

R = TypeVar("R")

#: Seconds of silence before the server is asked, less than a lease lasts; each next time twice as many.
PATIENCE = 3.0
#: Seconds that an answer may be under way after the server has sent it, and that the question itself may take.
UNDER_WAY, ANSWER = 1.0, 5.0

_STATE = "SELECT state FROM pg_stat_activity WHERE pid = %s"


class Patient(psycopg.Connection[Any]):
    """A connection that waits for an answer as long as the server works on one.

    Attributes:
        is_told_of: Whether the server's process is the one that it was told of: a pooler names another one.
    """

    is_told_of = False

    def wait(self, gen: Generator[Any, Any, R], *how: Any, **more: Any) -> R:
        """See :meth:`psycopg.Connection.wait`.

        Raises:
            psycopg.OperationalError: The answer is lost, and the connection is closed; whether the server did what it
                was asked to is not known.
        """
        return super().wait(_watched(gen, partial(_Doubt, self)) if self.is_told_of else gen, *how, **more)


class _Doubt:
    """What comes to mind when nothing comes."""

    __slots__ = ("_ask_at", "_connection", "_denied", "_pause")

    def __init__(self, connection: Patient) -> None:
        self._connection = connection
        self._pause = PATIENCE
        self._ask_at = time.monotonic() + PATIENCE
        self._denied = False

    def __call__(self) -> None:
        if time.monotonic() < self._ask_at:
            return
        denies = _denies(self._connection)
        if denies and self._denied:
            self._connection.close()
            raise psycopg.OperationalError("no answer came, and the server works on none: the connection is dead")
        self._denied = denies
        self._pause *= 2
        self._ask_at = time.monotonic() + (UNDER_WAY if denies else self._pause)


class _Impatience:
    """Gives up soon: what asks must not wait for long."""

    def __init__(self) -> None:
        self._give_up_at = time.monotonic() + ANSWER

    def __call__(self) -> None:
        if time.monotonic() > self._give_up_at:
            raise psycopg.OperationalError(f"no answer within {ANSWER:g} s")


class _Asking(psycopg.Connection[Any]):
    """A connection that does not wait for long."""

    def wait(self, gen: Generator[Any, Any, R], *how: Any, **more: Any) -> R:
        return super().wait(_watched(gen, _Impatience), *how, **more)


def _denies(connection: Patient) -> bool:
    """Return whether the server says that it does nothing for a connection; what it does not say it does not deny."""
    info = connection.info
    try:
        with _Asking.connect(info.dsn, password=info.password, connect_timeout=int(ANSWER), autocommit=True) as asking:
            row = asking.execute(_STATE, [info.backend_pid], prepare=False).fetchone()
    except psycopg.Error:
        return False
    return row is None or (row[0] or "").startswith("idle")


def _watched(waiting: Generator[Any, Any, R], begin: Callable[[], Callable[[], None]]) -> Generator[Any, Any, R]:
    """Pass on what a generator of psycopg waits for, and what comes.

    Args:
        waiting: The generator.
        begin: Called when a silence begins; returns what is called again and again as long as it lasts.
    """
    ready, silence = None, None
    while True:
        try:
            wanted = waiting.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        ready = yield wanted
        if ready:
            silence = None
        else:
            silence = silence or begin()
            silence()
