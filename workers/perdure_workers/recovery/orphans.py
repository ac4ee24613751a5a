"""Processes that a job leaves behind: they end with the child that started them.

The worker's main process and each child are made reapers (Linux: ``PR_SET_CHILD_SUBREAPER``): a process whose parent is
gone becomes the child's own, and when the child is gone as well the main process', which sees it there. So nobody's
processes end because another child died.
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
    """Have orphans among this process' descendants become its children; does nothing where that is not to be had."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(known: Callable[[], Collection[int]]) -> list[int]:
    """End this process' children other than those that are known, and return their process ids.

    Call it when a pool's child has died: what that child had started is here now.

    Args:
        known: Returns the children that stay. Whoever is unknown is looked at twice: one that was forked at this moment is
            here before it is known.
    """
    ended: list[int] = []
    while unknown := _children() - set(known()):
        time.sleep(BETWEEN_LOOKS)
        orphans = sorted(unknown & _children() - set(known()))
        for pid in orphans:
            _end(pid)
        ended += orphans  # what these had started are orphans now
    return ended


def _end(pid: int) -> None:
    logger.warning("process %d, which a job had left behind, is ended", pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in task.read_text().split()}
    return found
