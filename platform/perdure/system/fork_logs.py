"""Forks between two log records, not in the middle of one.

The standard library gives a child new locks for its handlers, but a handler's stream has a lock of its own that nobody can
renew: a child forked while another thread writes to the log would hang at its first record.
"""

from __future__ import annotations

import logging
import time
from typing import Any


class LogsHeld:
    """All handlers' locks, held by the thread that forks."""

    def __init__(self) -> None:
        self._held: list[Any] = []
        #: Locks that the last wait did not get: they are not waited for again.
        self._stuck: set[int] = set()

    def hold(self, longest: float) -> None:
        """Wait at most ``longest`` seconds until nobody writes, and let nobody begin."""
        give_up_at = time.monotonic() + longest
        for lock in _locks():
            patience = 0.0 if id(lock) in self._stuck else max(0.0, give_up_at - time.monotonic())
            if lock.acquire(timeout=patience):
                self._held.append(lock)
                self._stuck.discard(id(lock))
            else:
                self._stuck.add(id(lock))

    def release(self) -> None:
        """Let them write again."""
        while self._held:
            self._held.pop().release()


def _locks() -> list[Any]:
    """The module's own first: who changes handlers holds it, and wants theirs."""
    known: Any = logging
    handlers = [reference() for reference in list(known._handlerList)]
    return [known._lock, *(handler.lock for handler in handlers if handler is not None and handler.lock is not None)]
