"""Watching a worker's children: the death of one is seen within a tenth of a second, whatever Celery's pool is doing."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("perdure.children")

#: Seconds between two looks. A look is one system call for each child.
INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class ChildExit:
    """A child that ended; ``how`` says by which signal or exit code, in words."""

    pid: int
    how: str


class ChildWatch:
    """Looks at a worker's children from a thread of the main process, without reaping them.

    Args:
        pids: Returns the children's process ids of now.
        on_exit: Called once for each child that ended, in the watch's thread.
    """

    def __init__(self, pids: Callable[[], list[int]], on_exit: Callable[[ChildExit], None]) -> None:
        self._pids = pids
        self._on_exit = on_exit
        self._known: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-children", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def look(self) -> None:
        """Look at each child once."""
        self._known.update(self._pids())
        for pid in list(self._known):
            if (ended := exit_of(pid)) is not None:
                self._known.discard(pid)
                self._on_exit(ended)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self.look()
            except Exception:
                logger.exception("looking at the children failed")


def exit_of(pid: int) -> ChildExit | None:
    """Return how a child of this process ended, or None while it runs; the child is left for its pool to reap."""
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return ChildExit(pid, "ended")  # reaped before we looked
    if status is None:
        return None
    if status.si_code == os.CLD_EXITED:
        return ChildExit(pid, f"exited with code {status.si_status}")
    return ChildExit(pid, f"killed by {signal.Signals(status.si_status).name}")
