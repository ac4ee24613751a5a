"""Time as a parameter: code that needs the time is given a clock, so that tests and simulators own it.

Decisions about jobs use the *ledger's* clock (:mod:`perdure.ledger.now`); this one is for what a process times itself.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

#: Seconds, a hundred years: a longer delay is a mistake, and calendars end with the year 9999.
LONGEST_DELAY = 100 * 365 * 86_400.0


class Clock(Protocol):
    """What perdure needs of a clock."""

    def now(self) -> float:
        """Return wall-clock time in seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something takes."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return ``time.time()``."""
        return time.time()

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()


def to_datetime(epoch: float | None) -> datetime | None:
    """Return an aware UTC datetime for seconds since the epoch, or None for None."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def to_epoch(moment: datetime | float | None) -> float | None:
    """Return seconds since the epoch; a naive datetime is taken as local time, as Python does."""
    return moment.timestamp() if isinstance(moment, datetime) else moment
