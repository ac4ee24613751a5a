"""Periodic jobs: a task and its schedule. Which tick is due is a pure function of the last one and the time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from perdure.errors import InvalidArguments, InvalidJobDefinition

if TYPE_CHECKING:
    from perdure.task import Task

#: Seconds by which a tick may be late and still count as on time under ``missed="skip"``.
ON_TIME = 10.0
#: Shortest period, in seconds: supervisors look twice a second.
SHORTEST = 1.0
#: Seconds before now in which the newest cron tick is looked for, one after the other: after a long pause the many ticks
#: of a frequent schedule are not all stepped through. 32 days hold a monthly tick, nine years one of February 29.
WINDOWS = (3600.0, 86400.0, 32 * 86400.0, 9 * 366 * 86400.0)


@dataclass(frozen=True)
class Periodic:
    """A schedule of a task.

    Args:
        task: The task's name; also the schedule's.
        cron: A cron expression in UTC, or None.
        every: Seconds between ticks, or None.
        missed: ``run_once`` or ``skip``; see :meth:`perdure.Perdure.periodic`.
    """

    task: str
    cron: str | None
    every: float | None
    missed: Literal["run_once", "skip"] = "run_once"

    @classmethod
    def of(cls, task: Task[..., Any], *, cron: str | None, every: float | None, missed: Any) -> Periodic:
        """Return the schedule of a task.

        Raises:
            InvalidJobDefinition: The schedule cannot be read, or the task needs arguments.
        """
        if (cron is None) == (every is None):
            raise InvalidJobDefinition(f"{task.name}: give a periodic job cron= or every=, one of them")
        if every is not None and not every >= SHORTEST:
            raise InvalidJobDefinition(f"{task.name}: every={every!r} must be {SHORTEST:g} or more seconds")
        if missed not in ("run_once", "skip"):
            raise InvalidJobDefinition(f"{task.name}: missed={missed!r} is not known. Allowed: run_once, skip")
        try:
            task.signature.encode((), {})
        except InvalidArguments as error:
            raise InvalidJobDefinition(f"{task.name}: a periodic job is run without arguments: {error}") from None
        periodic = cls(task.name, cron, every, missed)
        if cron is not None:
            periodic.next_after(0.0)
        return periodic

    def due(self, last: float, now: float) -> float | None:
        """Return the newest tick after ``last`` that is due at ``now``, or None.

        Args:
            last: The tick that was fired last, epoch seconds.
            now: The ledger's time, epoch seconds.
        """
        if self.every is not None:
            newest = math.floor(now / self.every) * self.every
            return newest if newest > last else None
        for window in WINDOWS:
            if (tick := self._newest_since(max(last, now - window), now)) is not None or last >= now - window:
                return tick
        return None

    def _newest_since(self, moment: float, now: float) -> float | None:
        tick: float | None = None
        while (moment := self.next_after(moment)) <= now:
            tick = moment
        return tick

    def is_wanted(self, tick: float, now: float) -> bool:
        """Return whether a tick is to be run when it is found at ``now``."""
        return self.missed == "run_once" or now - tick <= ON_TIME

    def next_after(self, moment: float) -> float:
        """Return the first tick after a moment, both epoch seconds.

        Raises:
            InvalidJobDefinition: The cron expression cannot be read, or never comes.
        """
        if self.every is not None:
            return (math.floor(moment / self.every) + 1) * self.every
        after = datetime.fromtimestamp(moment, UTC)
        schedule = self._crontab
        try:
            # Celery's crontab returns its reading of the moment, and the step from there to the next tick.
            start, step, _ = schedule.remaining_delta(after, tz=UTC)
            return float((start + step).timestamp())
        except RuntimeError as error:
            raise InvalidJobDefinition(f"{self.task}: cron={self.cron!r} never comes: {error}") from error

    @cached_property
    def _crontab(self) -> Any:
        from celery.schedules import ParseException, crontab  # imported here: a web application need not

        try:
            return crontab.from_string(" ".join(str(self.cron).split()))
        except (ValueError, ParseException) as error:
            raise InvalidJobDefinition(f"{self.task}: cron={self.cron!r} cannot be read: {error}") from error
