"""Duty: judge workers by their heartbeats, and take back the jobs of those that are dead."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.ledger.workers.silent import SilentWorker
from perdure.model.worker_health import WorkerState, judge
from perdure_workers.recovery.rescue import declare_failed, rescue_worker
from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty

logger = logging.getLogger("perdure.expire")

PAGE = 100


class Expire(Duty):
    """Suspects workers whose heartbeats are late and ends leases that have run out.

    After an outage of the ledger nobody could renew a lease, so this duty waits one lease time before it judges anybody. A
    ledger that answers and cannot be written is away as well, as one whose disk is full.
    """

    name: ClassVar[str] = "expire"
    begins_after: ClassVar[float] = UNASKED

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._judge_from = 0.0

    @property
    def period(self) -> float:
        """A minute; it is asked for sooner."""
        return UNASKED

    def run_once(self) -> int:
        """End overdue leases and return how many."""
        for worker_id in self.app.ledger.running.orphaning(PAGE):
            rescue_worker(self.app, worker_id, "claimed by a worker that had been declared dead")
        moment = time.monotonic()
        silent = self.app.ledger.workers.silent(PAGE)
        if self.done_at is None or moment - self.done_at > self.app.settings.heartbeat_interval * 2:
            self._judge_from = moment + self.app.settings.lease_ttl  # the ledger, or this process, was away
        self.done_at = moment
        if silent and not self._can_write():
            self._judge_from = moment + self.app.settings.lease_ttl
        if moment < self._judge_from:
            return 0
        return sum(self._judge(worker) for worker in silent)

    def _can_write(self) -> bool:
        try:
            self.app.ledger.probe()
        except LedgerUnavailable as error:
            logger.warning("nobody is judged, since the ledger cannot be written: %s", error)
            return False
        return True

    def _judge(self, worker: SilentWorker) -> bool:
        closed = " and its connection is closed" if worker.hung_up else ""
        why = f"worker {worker.name} has not been heard from for {worker.silence:.1f} s{closed}"
        verdict = judge(WorkerState(worker.state), worker.silence, worker.lease_ttl, hung_up=worker.hung_up)
        if verdict is WorkerState.FAILED:
            return declare_failed(self.app, worker.id, why)
        if verdict is WorkerState.SUSPECT and (
            event := self.app.ledger.workers.change_state(worker.id, WorkerState.SUSPECT, why)
        ):
            self.app.workers.emit(event)
        return False
