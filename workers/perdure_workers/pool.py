"""Celery's prefork pool, whose children take no tasks from it: each works a shift of its own, and ends as it is told."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, ClassVar

from billiard.process import current_process
from celery.concurrency import asynpool
from celery.concurrency.prefork import TaskPool


class ShiftWorker(asynpool.Worker):
    """A child of the pool."""

    #: Works a shift; called with the child's number. A worker sets it before its pool starts.
    work: ClassVar[Callable[[int], None]]

    def on_loop_start(self, pid: int) -> None:
        """Report for work, and work until the shift is over."""
        super().on_loop_start(pid)
        # A job may use multiprocessing: what it leaves behind ends with this child. See ``orphans.py``.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        type(self).work(int(getattr(current_process(), "index", 0)))


class ShiftPool(asynpool.AsynPool):
    """A pool of such children."""

    Worker = ShiftWorker


class ShiftTaskPool(TaskPool):
    """What Celery is told to use as its pool."""

    Pool: Any = ShiftPool


def work_shifts(work: Callable[[int], None]) -> type[ShiftTaskPool]:
    """Return the pool's class, whose children call ``work`` with their number."""
    ShiftWorker.work = staticmethod(work)
    return ShiftTaskPool
