"""The drain flag: one byte of memory that a worker's main process shares with its children."""

from __future__ import annotations

import mmap


class DrainFlag:
    """Says to all children at once that the worker wants its jobs back. Make it before the children are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def raise_(self) -> None:
        """Ask running jobs to hand themselves back at their next checkpoint."""
        self._memory[0] = 1

    def __call__(self) -> bool:
        """Return whether the worker drains."""
        return self._memory[0] == 1
