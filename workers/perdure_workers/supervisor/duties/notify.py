"""Duty: send what notifiers are to be told, one sender at a time."""

from __future__ import annotations

from typing import ClassVar

from perdure_workers.notifiers.delivery import deliver_due
from perdure_workers.supervisor.duties.duty import Duty


class Notify(Duty):
    """Delivers notifications that are due; see :mod:`perdure_workers.notifiers.delivery`."""

    name: ClassVar[str] = "notify"

    @property
    def period(self) -> float:
        """Half of the time between two looks for alerts."""
        return self.app.settings.alerts.every / 2

    def run_once(self) -> int:
        """Deliver a page and return how many notifications were taken up."""
        return deliver_due(self.app)
