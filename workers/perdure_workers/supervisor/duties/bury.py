"""Duty: make dead letters of jobs that are not to be run any more: past their deadline, or of a task that nobody knows."""

from __future__ import annotations

from typing import ClassVar

from perdure_workers.supervisor.duties.duty import Duty

PAGE = 100


class Bury(Duty):
    """Ends jobs that wait in vain."""

    name: ClassVar[str] = "bury"

    @property
    def period(self) -> float:
        """Two seconds."""
        return 2.0

    def run_once(self) -> int:
        """Bury a page of each kind and return how many jobs that was."""
        ledger, ttl = self.app.ledger, self.app.settings.unknown_task_ttl
        if not ledger.jobs.burying_is_due(ttl):
            return 0
        return len(ledger.jobs.bury_expired(PAGE)) + len(ledger.jobs.bury_unknown(ttl, PAGE))
