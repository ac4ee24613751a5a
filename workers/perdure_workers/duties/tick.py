"""Duty: submit the jobs of schedules whose tick has come."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import ClassVar

from perdure.periodic import Periodic
from perdure_workers.duties.duty import Duty

logger = logging.getLogger("perdure.tick")


class Tick(Duty):
    """Fires periodic jobs: exactly one for each tick, whichever supervisor is first.

    The schedule is moved on and the job written in one transaction, under an idempotency key made of schedule and tick.
    """

    name: ClassVar[str] = "tick"

    @property
    def period(self) -> float:
        """Half a second."""
        return 0.5

    def run_once(self) -> int:
        """Submit the jobs that are due and return how many."""
        if not self.app.schedules:
            return 0
        now = self.app.ledger.clock()
        return sum(self._fire(schedule, now) for schedule in list(self.app.schedules.values()))

    def _fire(self, schedule: Periodic, now: float) -> bool:
        last = self.app.ledger.last_tick(schedule.name)
        tick = schedule.due(last, now)
        if tick is None:
            return False
        wanted = schedule.is_wanted(tick, now)
        if not wanted:
            logger.warning("%s: its tick at %s was missed and is skipped", schedule.name, datetime.fromtimestamp(tick, UTC))
        return self.app.submitter.submit_tick(schedule, last, tick, wanted=wanted)
