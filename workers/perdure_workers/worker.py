"""A worker: one Celery worker that serves one bulkhead, with its lease and a supervisor."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.apps.worker import Worker as CeleryWorker

from perdure import Perdure
from perdure.celery_app import TicketTask
from perdure.ledger.workers import GONE
from perdure.tickets import queue_name
from perdure_workers.background import Background
from perdure_workers.children import ChildExit, ChildWatch
from perdure_workers.drain import DrainFlag
from perdure_workers.execute import TicketRunner
from perdure_workers.incarnation import Incarnation
from perdure_workers.lease import Lease
from perdure_workers.malformed import survive_malformed_entries
from perdure_workers.outage import until_the_ledger_is_back
from perdure_workers.quarantine import install_quarantine
from perdure_workers.request import request_class
from perdure_workers.rescue import rescue_child
from perdure_workers.supervisor import Supervisor, default_duties

logger = logging.getLogger("perdure.worker")

#: Seconds between a soft time limit (the job sees an exception) and the hard one (its process is killed).
HARD_LIMIT_GRACE = 5.0


class Worker:
    """A worker of one bulkhead.

    Args:
        app: The application whose tasks it runs.
        bulkhead: What it serves.
        concurrency: Its number of children; None for the bulkhead's setting.
        name: Its name; the bulkhead's by default.

    Raises:
        UnknownBulkhead: There is no such bulkhead.
    """

    def __init__(self, app: Perdure, bulkhead: str, *, concurrency: int | None = None, name: str | None = None) -> None:
        self.app = app
        settings = app.settings.bulkheads[app.bulkheads.checked(bulkhead)]
        self.incarnation = Incarnation.new(name, bulkhead, concurrency or settings.concurrency)
        self._drain_flag = DrainFlag()
        self._background = Background("perdure-rescue")
        self._lease = Lease(app, self.incarnation, on_lost=self._stop_at_once)
        self._supervisor = Supervisor(default_duties(app))
        self._celery_worker: Any = None
        self._children = ChildWatch(self._child_pids, self._on_child_exit)
        #: Children that their hard time limit is about to kill, and that limit in seconds.
        self.hard_limits: dict[int, float] = {}

    def run(self) -> int:
        """Work until told to stop, and return the exit code."""
        self._prepare_celery()
        self._celery_worker = CeleryWorker(
            app=self.app.celery,
            hostname=self.incarnation.name,
            queues=[queue_name(self.incarnation.bulkhead)],
            concurrency=self.incarnation.concurrency,
            pool="prefork",
            loglevel=self.app.settings.log_level,
            task_events=True,
            without_mingle=True,
            without_gossip=True,
            optimization="fair",
            quiet=True,
        )
        self._background.start()
        self._lease.start()
        self._supervisor.start()
        self._children.start()
        self._celery_worker.start()
        return int(self._celery_worker.exitcode or 0)

    def post(self, work: Callable[[], object]) -> None:
        """Have a function run soon, off Celery's event loop, however long the ledger is away."""
        self._background.post(lambda: until_the_ledger_is_back(work))

    def _prepare_celery(self) -> None:
        app = self.app
        survive_malformed_entries()
        TicketTask.runner = TicketRunner(app, self.incarnation, self._drain_flag)
        TicketTask.Request = request_class(self)  # type: ignore[assignment] # a class will do where Celery says a name
        for task in app.tasks.values():
            celery_task: Any = app.celery.tasks[task.name]
            if task.timeout is not None:
                celery_task.soft_time_limit = task.timeout
                celery_task.time_limit = task.timeout + HARD_LIMIT_GRACE
        install_quarantine(self)
        signals.worker_shutting_down.connect(self._on_shutting_down, weak=False)
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)

    def _child_pids(self) -> list[int]:
        pool = getattr(self._celery_worker, "pool", None)
        processes = getattr(getattr(pool, "_pool", None), "_pool", None) or []
        return [process.pid for process in list(processes) if process.pid]

    def _on_child_exit(self, child: ChildExit) -> None:
        limit = self.hard_limits.pop(child.pid, None)
        self.post(lambda: rescue_child(self.app, self.incarnation.id, child.pid, child.how, limit))
        if self._celery_worker.pool is not None and self._celery_worker.hub is not None:
            # Celery's own look at its children may be seconds away; until then nobody takes the dead one's place.
            self._celery_worker.hub.call_soon(self._celery_worker.pool._pool.maintain_pool)

    def _on_shutting_down(self, **_kwargs: Any) -> None:
        self._drain_flag.raise_()
        threading.Thread(target=self._bound_drain, name="perdure-drain", daemon=True).start()

    def _bound_drain(self) -> None:
        """Note the drain in the ledger, and end the worker when its jobs do not end in time; they go on elsewhere."""
        timer = threading.Timer(self.app.settings.drain_timeout, self._stop_at_once)
        timer.daemon = True
        timer.start()
        self.app.ledger.set_draining(self.incarnation.id)

    def _on_shutdown(self, **_kwargs: Any) -> None:
        self._supervisor.stop()
        self._children.stop()
        self._background.stop(timeout=5.0)
        self._lease.end(GONE, "stopped")

    def _stop_at_once(self) -> None:
        """End this process and its children; the ledger hands their jobs to others."""
        logger.error("worker %s ends at once", self.incarnation.name)
        os._exit(70)
