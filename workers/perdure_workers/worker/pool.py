"""Celery's prefork pool, whose children take no tasks from it: each works a shift of its own, and ends as it is told."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
from collections.abc import Callable
from typing import Any, ClassVar

from billiard.process import current_process
from celery.concurrency import asynpool
from celery.concurrency.prefork import TaskPool

from perdure_workers.recovery.orphans import adopt_orphans
from perdure_workers.worker.signal_wakeup import sleep_through_signals

#: What multiprocessing takes its own process for. Billiard puts its own daemonic one there, which may have no children, and
#: whose key no process of multiprocessing can be told.
MAIN_PROCESS = multiprocessing.current_process()


class ShiftWorker(asynpool.Worker):
    """A child of the pool."""

    #: Works a shift; called with the child's number. A worker sets it before its pool starts.
    work: ClassVar[Callable[[int], None]]

    def on_loop_start(self, pid: int) -> None:
        """Report for work, and work until the shift is over."""
        super().on_loop_start(pid)
        sleep_through_signals()
        # A job may use multiprocessing and leave processes behind: they end with this child.
        adopt_orphans()
        setattr(multiprocessing.process, "_current_process", MAIN_PROCESS)  # noqa: B010 - not in typeshed
        type(self).work(int(getattr(current_process(), "index", 0)))

    def _do_exit(self, pid: int, exitcode: int | None, exc: BaseException | None = None) -> None:
        """End at once; billiard would wait for a second, so that the results of tasks arrive, and there are none."""
        os._exit(exitcode or (1 if exc else 0))


class ShiftPool(asynpool.AsynPool):
    """A pool of such children."""

    Worker = ShiftWorker
    #: Called with each child's process object when it is forked.
    born: ClassVar[Callable[[Any], object]]

    def _create_worker_process(self, i: int) -> Any:
        """Fork a child and tell of it: one may be dead, and forgotten by the pool, before anybody looks."""
        process = super()._create_worker_process(i)  # type: ignore[misc] # which the stubs do not know
        type(self).born(process)
        return process


class ShiftTaskPool(TaskPool):
    """What Celery is told to use as its pool."""

    Pool: Any = ShiftPool
    #: Called before the pool waits for its children to end.
    closing: ClassVar[Callable[[], None]]

    def did_start_ok(self) -> bool:
        """Say that the pool has started. Children work from their first moment on, so a job may have killed one by now.

        Celery would take that for a pool that cannot start, and end the worker; here the child is replaced.
        """
        pool: Any = self
        pool.maintain_pool()
        return True

    def on_close(self) -> None:
        """Have the children end their shifts, whatever the reason is for which the worker stops."""
        type(self).closing()
        super().on_close()


def work_shifts(
    work: Callable[[int], None], born: Callable[[Any], object], closing: Callable[[], None]
) -> type[ShiftTaskPool]:
    """Return the pool's class.

    Args:
        work: Called by each child with its number.
        born: Called with each child's process object when it is forked.
        closing: Called by the pool before it waits for its children to end.
    """
    ShiftWorker.work = staticmethod(work)
    ShiftPool.born = staticmethod(born)
    ShiftTaskPool.closing = staticmethod(closing)
    return ShiftTaskPool
