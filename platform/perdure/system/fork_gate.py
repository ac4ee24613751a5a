"""Forking safely beside threads that use the ledger or the broker.

A fork copies locks as they stand. If another thread is inside SQLite, SQLAlchemy or a Redis client at that moment, the
child inherits a lock that nobody will ever release, and hangs when it needs it. A worker's main process has such threads
(lease, supervisor) and forks children at any time, so each fork waits until no statement or publish is under way, and no
module is being loaded.

What is idle then may still have to be closed (``idle``): a process that inherits an open connection to a SQLite file
takes the parent's locks for its own. It holds none, so the file's last holder elsewhere deletes the log into which the
child goes on writing. See https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from perdure.system import fork_imports
from perdure.system.fork_logs import LogsHeld

#: Seconds that a fork waits at most for what is under way; a longer use is waiting for a lock or a server.
LONGEST_WAIT = 2.0
#: Seconds between two looks whether modules are still being loaded.
BETWEEN_LOOKS = 0.001


class ForkGate:
    """Lets any number of threads use connections (``with gate: ...``), or one fork."""

    #: The uses that are under way, and those of them that a fork has waited for in vain: no other one waits for them.
    _inside: set[object]
    _stuck: set[object]
    _logs: LogsHeld

    def __init__(self) -> None:
        #: Called before each fork, when nothing is under way.
        self.idle: list[Callable[[], object]] = []
        #: Whether nothing was under way in other threads at the last fork.
        self.was_quiet = True
        self._reset()

    def __enter__(self) -> None:
        """Hold forks off while a connection is used. A thread may do so while it does; its own forks go through."""
        if not self._depth:
            with self._free:
                while self._forking:
                    self._free.wait()
                self._thread.use = object()
                self._inside.add(self._thread.use)
        self._thread.depth = self._depth + 1

    def __exit__(self, *_: object) -> None:
        """Let a fork go on that has waited for this use alone."""
        if not self._depth:
            return  # it was entered before the fork that made this process
        self._thread.depth = self._depth - 1
        if not self._depth:
            with self._free:
                self._inside.discard(self._thread.use)
                self._free.notify_all()

    def before_fork(self) -> None:
        """Let no new use begin, wait for those of other threads and their imports, close what is idle, hold the logs."""
        self._free.acquire()
        self._forking = True
        own = {self._thread.use} if self._depth else set()
        self._free.wait_for(lambda: not self._inside - own - self._stuck, LONGEST_WAIT)
        self._stuck = self._inside - own
        self.was_quiet = not self._stuck
        self._await_imports()
        for close in self.idle:
            close()
        self._logs.hold(LONGEST_WAIT)

    def _await_imports(self) -> None:
        give_up_at = time.monotonic() + LONGEST_WAIT
        while fork_imports.are_under_way() and time.monotonic() < give_up_at:
            self._free.wait(BETWEEN_LOOKS)

    def after_fork_in_parent(self) -> None:
        """Let uses begin again."""
        self._logs.release()
        self._forking = False
        self._free.notify_all()
        self._free.release()

    @property
    def _depth(self) -> int:
        """How many uses of this thread are under way, one in another."""
        return getattr(self._thread, "depth", 0)

    def _reset(self) -> None:
        self._free = threading.Condition()
        self._inside, self._stuck = set(), set()
        self._forking = False
        self._thread = threading.local()
        self._logs = LogsHeld()


gate = ForkGate()
os.register_at_fork(before=gate.before_fork, after_in_parent=gate.after_fork_in_parent, after_in_child=gate._reset)
