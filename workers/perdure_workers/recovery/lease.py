"""A worker's lease: one row in the ledger, renewed by a thread of the main process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from msgspec.structs import asdict

from perdure import Perdure
from perdure.errors import PerdureError
from perdure.model.worker_health import WorkerState
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.recovery.outage import until_the_ledger_is_back
from perdure_workers.recovery.process_lock import LifeLock
from perdure_workers.timers import until_next

logger = logging.getLogger("perdure.lease")


class Lease:
    """Registers a worker's incarnation and keeps it alive.

    Args:
        app: The application.
        worker: Whose lease it is.
        lock: What tells neighbours at once when this process ends.
        on_lost: Called once when the lease is lost: the worker was declared dead and must not go on.
    """

    def __init__(
        self,
        app: Perdure,
        worker: Incarnation,
        lock: LifeLock,
        *,
        on_lost: Callable[[], None],
    ) -> None:
        self._app = app
        self._worker = worker
        self._lock = lock
        self._line = app.ledger.workers.life_line(worker.id)
        self._on_lost = on_lost
        self._renewed_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-lease", daemon=True)

    def start(self) -> None:
        """Register the worker, waiting for a ledger that is down, and begin to beat."""
        self._lock.take()
        row = asdict(self._worker) | {"lease_ttl": self._app.settings.lease_ttl, "lock_path": str(self._lock.path)}
        event = until_the_ledger_is_back(lambda: self._app.ledger.workers.register(row))
        if event is not None:
            self._app.workers.emit(event)
        until_the_ledger_is_back(self._renew)  # no job runs before its end would be seen
        self._thread.start()

    def end(self, state: str, reason: str) -> None:
        """Stop beating and give the lease back."""
        self._stop.set()
        self._thread.join(self._app.settings.heartbeat_interval)
        self._app.ledger.workers.change_state(self._worker.id, state, reason)
        self._lock.release()
        if self._line:
            self._line.close()

    @property
    def age(self) -> float:
        """Seconds since it was renewed; infinity before it is taken."""
        return time.monotonic() - self._renewed_at

    def _run(self) -> None:
        while not self._stop.wait(until_next(self._app.settings.heartbeat_interval)):
            try:
                if not self._beat():
                    logger.error("worker %s has lost its lease", self._worker.name)
                    self._on_lost()
                    return
            except PerdureError as error:
                logger.warning("heartbeat of %s failed: %s", self._worker.name, error)

    def _beat(self) -> bool:
        state = self._renew()
        if state is None:
            return False
        if state == WorkerState.SUSPECT:
            reason = "its heartbeats are back"
            if event := self._app.ledger.workers.change_state(self._worker.id, WorkerState.HEALTHY, reason):
                self._app.workers.emit(event)
        return True

    def _renew(self) -> str | None:
        began = time.monotonic()
        state = self._line.beat() if self._line else self._app.ledger.workers.beat(self._worker.id)
        if state is not None:
            self._renewed_at = began
        return state
