"""Forking safely beside threads that use the ledger or the broker.

A fork copies locks as they stand. If another thread is inside SQLite, SQLAlchemy or a Redis client at that moment, the
child inherits a lock that nobody will ever release, and hangs when it needs it. A worker's main process has such threads
(lease, supervisor) and forks children at any time, so each fork waits until no statement or publish is under way.
See https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that a fork waits at most for what is under way; a longer use is waiting for a lock or a server.
LONGEST_WAIT = 2.0


class ForkGate:
    """Lets any number of threads use connections, or one fork."""

    def __init__(self) -> None:
        self._reset()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Hold forks off while a connection is used. Not to be nested: a fork that waits holds off the inner use."""
        with self._free:
            while self._forking:
                self._free.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._free:
                self._inside -= 1
                self._free.notify_all()

    def before_fork(self) -> None:
        """Let no new use begin and wait for those under way."""
        self._free.acquire()
        self._forking = True
        self._free.wait_for(lambda: self._inside == 0, LONGEST_WAIT)

    def after_fork_in_parent(self) -> None:
        """Let uses begin again."""
        self._forking = False
        self._free.notify_all()
        self._free.release()

    def _reset(self) -> None:
        self._free = threading.Condition()
        self._inside = 0
        self._forking = False


gate = ForkGate()
os.register_at_fork(before=gate.before_fork, after_in_parent=gate.after_fork_in_parent, after_in_child=gate._reset)
