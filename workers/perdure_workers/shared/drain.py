"""The drain flag: one byte of memory that a worker's main process shares with its children."""

from __future__ import annotations

import mmap
import multiprocessing
from contextlib import suppress


class DrainFlag:
    """Says to all children at once that the worker wants its jobs back. Make it before the children are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)
        self._asked = multiprocessing.get_context("fork").BoundedSemaphore(1)
        self._asked.acquire()

    def raise_(self) -> None:
        """Ask running jobs to hand themselves back at their next checkpoint."""
        self._memory[0] = 1

    def ask(self) -> None:
        """Raise it in a child, and have the main process drain."""
        self.raise_()
        with suppress(ValueError):  # another child was first
            self._asked.release()

    def wait_until_asked(self) -> None:
        """Wait in the main process until a child wants it to drain."""
        self._asked.acquire()

    def __call__(self) -> bool:
        """Return whether the worker drains."""
        return self._memory[0] == 1
