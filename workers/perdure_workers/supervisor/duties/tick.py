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
LONGEST_REST = 10.0


class Tick(Duty):
    """Fires periodic jobs: exactly one for each tick, whichever supervisor is first.

    The schedule is moved on and the job written in one transaction, under an idempotency key made of schedule and tick.
    """

    name: ClassVar[str] = "tick"
    begins_after: ClassVar[float] = 1.0

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
        now, ticks = self.app.ledger.schedules.last_ticks([schedule.name for schedule in schedules])
        fired = sum(self._fire(schedule, ticks.get(schedule.name), now) for schedule in schedules)
        until_next = min(schedule.next_after(now) for schedule in schedules) - now
        self._seen, self._rest_until = schedules, time.monotonic() + (0.0 if fired else min(until_next, LONGEST_REST))
        return fired

    def _fire(self, schedule: Periodic, last: float | None, now: float) -> bool:
        if last is None:
            last = self.app.ledger.schedules.last_tick(schedule.name)
        tick = schedule.due(last, now)
        if tick is None:
            return False
        wanted = schedule.is_wanted(tick, now)
        if not wanted:
            logger.warning("%s: its tick at %s was missed and is skipped", schedule.name, datetime.fromtimestamp(tick, UTC))
        return self.app.submitter.submit_tick(self.app.task(schedule.task), schedule, last, tick, wanted=wanted)
