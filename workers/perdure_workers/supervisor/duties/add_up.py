"""Duty: add up what was counted for metrics."""

from __future__ import annotations

from typing import ClassVar

from perdure import Perdure
from perdure_workers.supervisor.duties.duty import Duty

PERIOD = 5.0
#: Of so many runs one looks for what came very late: the first one, and then every ten minutes.
FULL_EVERY = 120


class AddUp(Duty):
    """Adds up counts, unless another supervisor has just done so.

    Args:
        app: The application.
    """

    name: ClassVar[str] = "add_up"
    begins_after: ClassVar[float] = 1.0

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._runs = 0

    @property
    def period(self) -> float:
        """Five seconds."""
        return PERIOD

    def run_once(self) -> int:
        """Add up what there is and return 0: the next time will do."""
        is_full, self._runs = self._runs % FULL_EVERY == 0, self._runs + 1
        self.app.ledger.add_up_counts(enough=PERIOD / 2, full=is_full)
        return 0
