"""Duty: tell the ledger which duties are done, so that health checks know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from perdure import Perdure
from perdure_workers.supervisor.duties.duty import Duty

PERIOD = 10.0
#: Seconds since a duty was done here for which it counts as being done.
FRESH = 30.0


class Report(Duty):
    """Reports duties as done, unless another supervisor has just done so.

    Args:
        app: The application.
        duties: Those that run beside this one.
    """

    name: ClassVar[str] = "report"
    begins_after: ClassVar[float] = 1.0

    def __init__(self, app: Perdure, duties: Sequence[Duty]) -> None:
        super().__init__(app)
        self._duties = duties

    @property
    def period(self) -> float:
        """Ten seconds."""
        return PERIOD

    def run_once(self) -> int:
        """Report what was done lately and return 0: the next report has time."""
        since = time.monotonic() - FRESH
        fresh = [duty.name for duty in self._duties if duty.done_at is not None and duty.done_at > since]
        if fresh:
            self.app.ledger.workers.report_duties(fresh, PERIOD / 2)
        return 0
