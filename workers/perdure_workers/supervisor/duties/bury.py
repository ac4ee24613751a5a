"""Duty: make dead letters of jobs that are not to be run any more: past their deadline, or of a task that nobody knows."""

from __future__ import annotations

from typing import ClassVar

from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty

PAGE = 100


class Bury(Duty):
    """Ends jobs that wait in vain."""

    name: ClassVar[str] = "bury"
    begins_after: ClassVar[float] = UNASKED

    @property
    def period(self) -> float:
        """A minute; it is asked for sooner."""
        return UNASKED

    def run_once(self) -> int:
        """Bury a page of each kind and return how many jobs that was."""
        ledger, ttl = self.app.ledger, self.app.settings.unknown_task_ttl
        return len(ledger.jobs.bury_expired(PAGE)) + len(ledger.jobs.bury_unknown(ttl, PAGE))
