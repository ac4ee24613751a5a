"""Duty: declare workers dead whose heartbeats stay away, and take their jobs back."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from perdure import Perdure
from perdure.ledger.workers import FAILED
from perdure_workers.duties.duty import Duty
from perdure_workers.rescue import rescue_worker

logger = logging.getLogger("perdure.expire")

PAGE = 100


class Expire(Duty):
    """Ends leases that have run out.

    After an outage of the ledger nobody could renew a lease, so this duty waits one lease time before it judges anybody.
    """

    name: ClassVar[str] = "expire"

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._last_run: float | None = None
        self._judge_from = 0.0

    @property
    def period(self) -> float:
        """Half a heartbeat."""
        return self.app.settings.heartbeat_interval / 2

    def run_once(self) -> int:
        """End overdue leases and return how many."""
        moment = time.monotonic()
        overdue = self.app.ledger.overdue_workers(PAGE)
        if self._last_run is None or moment - self._last_run > self.app.settings.heartbeat_interval * 2:
            self._judge_from = moment + self.app.settings.lease_ttl  # the ledger, or this process, was away
        self._last_run = moment
        if moment < self._judge_from:
            return 0
        return sum(self._end(worker_id, name) for worker_id, name in overdue)

    def _end(self, worker_id: str, name: str) -> bool:
        why = f"worker {name} missed {self.app.settings.missed_heartbeats} heartbeats"
        ended = self.app.ledger.end_worker(worker_id, FAILED, why)
        # Also when somebody else ended the lease: whoever did may have died before it took the jobs back.
        rescued = rescue_worker(self.app, worker_id, why)
        if ended:
            logger.warning("%s; %d jobs taken back", why, rescued)
        return ended
