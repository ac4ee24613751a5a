"""A worker's lease: one row in the ledger, renewed by a thread of the main process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict

from perdure import Perdure
from perdure.errors import PerdureError
from perdure_workers.incarnation import Incarnation
from perdure_workers.outage import until_the_ledger_is_back

logger = logging.getLogger("perdure.lease")


class Lease:
    """Registers a worker's incarnation and keeps it alive.

    Args:
        app: The application.
        worker: Whose lease it is.
        on_lost: Called once when the lease is lost: the worker was declared dead and must not go on.
    """

    def __init__(self, app: Perdure, worker: Incarnation, on_lost: Callable[[], None]) -> None:
        self._app = app
        self._worker = worker
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-lease", daemon=True)

    def start(self) -> None:
        """Register the worker, waiting for a ledger that is down, and begin to beat."""
        row = asdict(self._worker) | {"lease_ttl": self._app.settings.lease_ttl}
        until_the_ledger_is_back(lambda: self._app.ledger.register_worker(row))
        self._thread.start()

    def end(self, state: str, reason: str) -> None:
        """Stop beating and give the lease back."""
        self._stop.set()
        self._thread.join(self._app.settings.heartbeat_interval)
        self._app.ledger.end_worker(self._worker.id, state, reason)

    def _run(self) -> None:
        while not self._stop.wait(self._app.settings.heartbeat_interval):
            try:
                if not self._app.ledger.beat(self._worker.id):
                    logger.error("worker %s has lost its lease", self._worker.name)
                    self._on_lost()
                    return
            except PerdureError as error:
                logger.warning("heartbeat of %s failed: %s", self._worker.name, error)
