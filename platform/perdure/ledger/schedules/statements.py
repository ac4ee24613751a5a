"""``ledger.schedules``: Statements on periodic jobs."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ledger.schedules import ticks
from perdure.ledger.work import Work
from perdure.model.new_job import NewJob, Submitted


class ScheduleStatements:
    """The schedules of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def last_ticks(self, schedules: Sequence[str]) -> tuple[float, dict[str, float]]:
        """Return the ledger's time and the newest ticks; see :func:`ticks.last_ticks`."""
        return self._work.direct(lambda c: ticks.last_ticks(c, schedules))

    def last_tick(self, schedule: str) -> float:
        """Return the newest tick of a schedule, which begins now when it is new."""
        return self._work.direct(lambda c: ticks.last_tick(c, schedule))

    def fire(self, schedule: str, before: float, tick: float, new: NewJob | None) -> Submitted | None:
        """Move a schedule on and write its tick's job; see :func:`ticks.fire`."""
        return self._work.direct(lambda c: ticks.fire(c, schedule, before, tick, new), autocommit=False)
