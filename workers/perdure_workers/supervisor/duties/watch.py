"""Duty: see at once when a worker on this host dies, by the lock that its main process held."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import ClassVar

from perdure import Perdure
from perdure.ledger.workers.register import Neighbour
from perdure_workers.recovery.process_lock import holder_is_gone, is_held_here
from perdure_workers.recovery.rescue import declare_failed
from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty

#: Seconds between two looks at the locks: one system call for each neighbour, no SQL.
PERIOD = 0.1


class Watch(Duty):
    """Looks at the locks of the live workers of this host; see :mod:`perdure_workers.recovery.process_lock`."""

    name: ClassVar[str] = "watch"
    begins_after: ClassVar[float] = UNASKED

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._host = socket.gethostname()
        self._neighbours: list[Neighbour] = []
        self._renew_at = 0.0

    @property
    def period(self) -> float:
        """A tenth of a second while there are neighbours; otherwise a minute, and it is asked for sooner."""
        return PERIOD if self._neighbours else UNASKED

    def run_once(self) -> int:
        """Declare the neighbours failed whose lock is free, and return how many."""
        moment = time.monotonic()
        if not self._neighbours or moment >= self._renew_at:
            live = self.app.ledger.workers.neighbours(self._host)
            self._neighbours = [worker for worker in live if not is_held_here(Path(worker.lock_path))]
            self._renew_at = moment + self.app.settings.heartbeat_interval
        dead = [neighbour for neighbour in self._neighbours if holder_is_gone(Path(neighbour.lock_path))]
        failed = sum(self._declare(neighbour) for neighbour in dead)
        self._neighbours = [neighbour for neighbour in self._neighbours if neighbour not in dead]
        return failed

    def _declare(self, neighbour: Neighbour) -> bool:
        failed = declare_failed(self.app, neighbour.id, f"the main process of worker {neighbour.name} is gone")
        Path(neighbour.lock_path).unlink(missing_ok=True)
        return failed
