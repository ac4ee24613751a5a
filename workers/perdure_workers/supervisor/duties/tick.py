"""Duty: submit the jobs of schedules whose tick has come."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import ClassVar

from perdure import Perdure
from perdure.submit.periodic import Periodic
from perdure_workers.supervisor.duties.duty import Duty

logger = logging.getLogger("perdure.tick")

#: Seconds for which the ledger is not asked at most while no tick is near, so that clocks may be set meanwhile.
LONGEST_REST = 5.0


class Tick(Duty):
    """Fires periodic jobs: exactly one for each tick, whichever supervisor is first.

    The schedule is moved on and the job written in one transaction, under an idempotency key made of schedule and tick.
    """

    name: ClassVar[str] = "tick"

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._seen: list[Periodic] = []
        self._rest_until = 0.0

    @property
    def period(self) -> float:
        """Half a second."""
        return 0.5

    def run_once(self) -> int:
        """Submit the jobs that are due and return how many."""
        schedules = list(self.app.schedules.values())
        if not schedules or (schedules == self._seen and time.monotonic() < self._rest_until):
            return 0
        now = self.app.ledger.clock()
        fired = sum(self._fire(schedule, now) for schedule in schedules)
        until_next = min(schedule.next_after(now) for schedule in schedules) - now
        self._seen, self._rest_until = schedules, time.monotonic() + (0.0 if fired else min(until_next, LONGEST_REST))
        return fired

    def _fire(self, schedule: Periodic, now: float) -> bool:
        last = self.app.ledger.schedules.last_tick(schedule.name)
        tick = schedule.due(last, now)
        if tick is None:
            return False
        wanted = schedule.is_wanted(tick, now)
        if not wanted:
            logger.warning("%s: its tick at %s was missed and is skipped", schedule.name, datetime.fromtimestamp(tick, UTC))
        return self.app.submitter.submit_tick(self.app.task(schedule.task), schedule, last, tick, wanted=wanted)
