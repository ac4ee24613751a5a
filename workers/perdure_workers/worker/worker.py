"""A worker: one Celery worker that serves one bulkhead, with its lease and a supervisor."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - loaded by each connection to a host: here once, in memory that the children share
import gc
import importlib.readers  # noqa: F401 - loaded with each script for Redis: likewise
import logging
import os
import signal
import threading
import time
from typing import Any

from celery import platforms, signals

from perdure import Perdure
from perdure.broker.queues import queue_name
from perdure.errors import LedgerUnavailable
from perdure.ledger.jobs import logs, settle_and_claim  # noqa: F401 - loaded by a child when it needs them: likewise
from perdure.model.settlement import Stop
from perdure.model.worker_health import WorkerState
from perdure.resilience.redis import lua_scripts
from perdure_workers.embedded.die_with_parent import end_with_parent
from perdure_workers.intake import bell_reader
from perdure_workers.intake.bell_reader import BellReader
from perdure_workers.intake.gate import guard_the_gate
from perdure_workers.intake.quarantine import Quarantine
from perdure_workers.intake.remote_control import install_remote_control
from perdure_workers.logs import in_worker
from perdure_workers.monitoring.tally_writer import IDLE_WAIT, TallyWriter
from perdure_workers.recovery.background import Background
from perdure_workers.recovery.child_watch import ChildExit, ChildWatch, end_children
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.recovery.lease import Lease
from perdure_workers.recovery.looker import Looker
from perdure_workers.recovery.orphans import adopt_orphans, end_orphans
from perdure_workers.recovery.outage import until_the_ledger_is_back
from perdure_workers.recovery.overseer import Overseer
from perdure_workers.recovery.probes import serve_probes
from perdure_workers.recovery.process_lock import LifeLock
from perdure_workers.recovery.pulse import Pulse
from perdure_workers.recovery.rescue import hand_back, rescue_child
from perdure_workers.shared.shared import Shared
from perdure_workers.shared.slots import Slot
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.supervisor.supervisor import Supervisor, default_duties
from perdure_workers.worker.arenas import share_arenas
from perdure_workers.worker.celery_worker import DrainingWorker, PatientConsumer
from perdure_workers.worker.job_forks import let_forks_end
from perdure_workers.worker.named_parts import load_named
from perdure_workers.worker.pool import work_shifts
from perdure_workers.worker.shift import Shift
from perdure_workers.worker.signal_wakeup import SignalWakeup

logger = logging.getLogger("perdure.worker")


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
        self.shared = Shared(Wakeups(self.incarnation.concurrency))
        self._background = Background("perdure-rescue")
        self._lease = Lease(
            app,
            self.incarnation,
            LifeLock(app.settings.home_folder.worker_lock(self.incarnation.id)),
            on_lost=self._stop_at_once,
        )
        self._supervisor = Supervisor(default_duties(app), app.tally)
        self._tally = TallyWriter(app, IDLE_WAIT)
        self._pulse = Pulse(app.settings.home_folder.path, self.incarnation.name)
        self._celery_worker: Any = None
        self._drains = False
        self._children = ChildWatch(self._on_child_exit)
        self._overseer = Overseer(app, self.incarnation.id, self._child_pids, self.shared.slots)
        self._looker = Looker(app, bulkhead, self.shared.wakeups, lambda: app.bells.hush(bulkhead))

    def run(self) -> int:
        """Work until told to stop, and return the exit code."""
        share_arenas()
        in_worker(self.incarnation.name, self.incarnation.bulkhead)
        self._make_parts()
        self._prepare_celery()
        self._celery_worker = DrainingWorker(
            app=self.app.celery,
            hostname=self.incarnation.name,
            queues=[queue_name(self.incarnation.bulkhead)],
            concurrency=self.incarnation.concurrency,
            pool=work_shifts(self._work, self._children.add, self._drain),
            consumer_cls=PatientConsumer,
            loglevel=self.app.settings.log_level,
            task_events=True,
            without_mingle=True,
            without_gossip=True,
            optimization="fair",
            quiet=True,
        )
        serve_probes(self.app, self._pulse, self._missing)
        self._background.start()
        self._lease.start()
        self._supervisor.start()
        self._tally.start()
        if Perdure.failover.is_made(self.app):
            self.app.failover.start()
        self._children.start()
        self._overseer.start()
        self._looker.start()
        threading.Thread(target=self._drain_when_asked, name="perdure-unfit", daemon=True).start()
        self._celery_worker.start()
        return int(self._celery_worker.exitcode or 0)

    def _active(self) -> list[dict[str, Any]]:
        """Return what the children run, as Celery's ``inspect active`` does."""
        return [
            {
                "id": slot.job_id,
                "name": slot.task,
                "args": [],
                "kwargs": {},
                "hostname": self.incarnation.name,
                "time_start": time.time() - slot.elapsed,
                "acknowledged": True,
                "worker_pid": slot.pid,
            }
            for slot in self.shared.slots.all(self._child_pids())
            if slot.job_id
        ]

    def _missing(self) -> str:
        """Return why no job can run here now; "" when they can."""
        if self.shared.draining():
            return "the worker drains"
        if self._lease.age > self.app.settings.lease_ttl:
            return "the worker has no lease: the ledger is not reached"
        return ""

    def _make_parts(self) -> None:
        """Make what the application makes on first use and any child needs, and what its tasks and settings name.

        Once, in memory that the children share.
        """
        app = self.app
        _ = app.celery, app.bells, app.event_pages, app.breakers, app.jobs, app.storage
        _ = app.ledger.running, app.ledger.workers, app.ledger.release
        load_named(app)
        lua_scripts.source("ring")

    def _prepare_celery(self) -> None:
        PatientConsumer.pulse, PatientConsumer.signals = self._pulse, SignalWakeup()
        guard_the_gate(queue_name(self.incarnation.bulkhead))
        adopt_orphans()
        quarantine = Quarantine(self.app, self.incarnation.bulkhead, self._background)
        quarantine.install()
        install_remote_control(self.app, self._background, self.shared.time_limits, self._active)
        bell_reader.reader = BellReader(self.shared.wakeups, quarantine.keep)
        if (end_with_worker := end_with_parent(signal.SIGKILL)) is not None:
            # A child waits for its next job for ever when the worker is killed, and one that is busy is a zombie.
            signals.worker_process_init.connect(lambda **_: end_with_worker(), weak=False)
            # Celery says the same by compiling C declarations in each child, which takes longer than all else there.
            setattr(platforms, "set_pdeathsig", lambda _signal: None)  # noqa: B010 - a function, for mypy
        signals.worker_shutting_down.connect(lambda **_: self._drain(), weak=False)
        # What is there now lives as long as the children, who share it as long as nobody writes to it. Of 120,000 objects
        # 1,000 are garbage, and to find them takes a tenth of a second.
        gc.freeze()
        gc.enable()
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)

    def _child_processes(self) -> list[Any]:
        pool = getattr(self._celery_worker, "pool", None)
        return list(getattr(getattr(pool, "_pool", None), "_pool", None) or [])

    def _child_pids(self) -> list[int]:
        return [process.pid for process in self._child_processes() if process.pid]

    def _work(self, index: int) -> None:
        """Work a child's shift."""
        let_forks_end()
        Shift(self.app, self.incarnation, self.shared, index).run()

    def _on_child_exit(self, child: ChildExit) -> None:
        stopped, slot = self._overseer.stopped.pop(child.pid, None), self.shared.slots.of(child.pid)
        self._background.post(lambda: self._rescue(child, slot, stopped))
        threading.Thread(target=end_orphans, args=(lambda: {child.pid, *self._child_pids()},), daemon=True).start()
        pool = getattr(self._celery_worker.pool, "_pool", None)
        if pool is not None and self._celery_worker.hub is not None:
            # Celery's own look at its children may be seconds away; until then nobody takes the dead one's place.
            self._celery_worker.hub.call_soon(pool.maintain_pool)

    def _rescue(self, child: ChildExit, slot: Slot | None, stopped: Stop | None) -> None:
        if rescue_child(self.app, self.incarnation.id, child.pid, child.how, slot, stopped) or self.shared.draining():
            self.shared.wakeups.post()  # it may have died of what it was woken for
        self.shared.slots.free(child.pid)

    def _drain(self) -> None:
        """Have the children end, each after its job. Told by a signal, and by the pool when it is closed without one."""
        if self._drains:
            return
        self._drains = True
        self.shared.draining.raise_()
        self.shared.wakeups.post()  # each child that ends wakes the next one
        threading.Thread(target=self._bound_drain, name="perdure-drain", daemon=True).start()

    def _drain_when_asked(self) -> None:
        """Drain when a child wants it, whose job found this node unfit; once, since a second signal would cut it short."""
        self.shared.draining.wait_until_asked()
        if not self._drains:
            os.kill(os.getpid(), signal.SIGTERM)

    def _bound_drain(self) -> None:
        """Note the drain in the ledger, and end it in time."""
        timer = threading.Timer(self.app.settings.drain_timeout, self._end_drain)
        timer.daemon = True
        timer.start()
        until_the_ledger_is_back(lambda: self.app.ledger.workers.set_draining(self.incarnation.id))

    def _end_drain(self) -> None:
        """End the children, hand back what they had not finished, and exit."""
        app, worker_id = self.app, self.incarnation.id
        logger.warning("worker %s hands back what did not end in %g s", self.incarnation.name, app.settings.drain_timeout)
        self._children.stop()
        self._overseer.stop()
        self._looker.stop()
        end_children(self._child_processes())
        end_orphans(self._child_pids)

        def give_back() -> None:
            why = "the worker was stopped and the job did not end in time"
            hand_back(app, worker_id, why, self.shared.slots.of)
            self._lease.end(WorkerState.GONE, "stopped")

        try:
            until_the_ledger_is_back(give_back, timeout=app.settings.lease_ttl)
        except LedgerUnavailable:
            self._stop_at_once()  # the lease runs out by itself then
        os._exit(0)

    def _on_shutdown(self, **_kwargs: Any) -> None:
        self._supervisor.stop()
        self._children.stop()
        self._overseer.stop()
        self._looker.stop()
        end_orphans(self._child_pids)
        self._background.stop(timeout=5.0)
        self._tally.stop()
        self._lease.end(WorkerState.GONE, "stopped")
        self._pulse.end()

    def _stop_at_once(self) -> None:
        """End this process and its children; the ledger hands their jobs to others."""
        logger.error("worker %s ends at once", self.incarnation.name)
        os._exit(70)
