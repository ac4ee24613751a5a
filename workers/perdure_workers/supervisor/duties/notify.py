"""Duty: send what notifiers are to be told, one sender at a time."""

from __future__ import annotations

from typing import ClassVar

from perdure_workers.notifiers.delivery import deliver_due
from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty


class Notify(Duty):
    """Delivers notifications that are due; see :mod:`perdure_workers.notifiers.delivery`."""

    name: ClassVar[str] = "notify"
    begins_after: ClassVar[float] = UNASKED

    @property
    def period(self) -> float:
        """A minute; it is asked for sooner."""
        return UNASKED

    def run_once(self) -> int:
        """Deliver a page and return how many notifications were taken up."""
        return deliver_due(self.app)
