"""Processes that a job leaves behind: they end with the child that started them.

The worker's main process is made the reaper of what its children leave (Linux: ``PR_SET_CHILD_SUBREAPER``): a process
whose parent is gone becomes its own child, and is seen there.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

logger = logging.getLogger("perdure.orphans")

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds.
BETWEEN_LOOKS = 0.2


def adopt_orphans() -> None:
    """Have orphans of this process' children become its own children; does nothing where that is not to be had."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(known: Callable[[], Collection[int]]) -> list[int]:
    """End this process' children other than those that are known, and return their process ids.

    Call it when a pool's child has died: what that child had started is here now.

    Args:
        known: Returns the children that stay. Whoever is unknown is looked at twice: one that was forked at this moment is
            here before it is known.
    """
    unknown = _children() - set(known())
    if not unknown:
        return []
    time.sleep(BETWEEN_LOOKS)
    orphans = sorted(unknown & _children() - set(known()))
    for pid in orphans:
        logger.warning("process %d, which a job had left behind, is ended", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return orphans


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in task.read_text().split()}
    return found
