"""Keeping to a rate, so that an archive in the background leaves the disk to others."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Longest single sleep, in seconds: between two of them the job looks whether it shall stop.
STEP_S = 0.2


class Pace:
    """Sleeps as long as work is ahead of its rate.

    Args:
        rate: Bytes per second; None for as fast as it goes.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._done = 0

    def keep(self, done: int, between: Callable[[], None]) -> None:
        """Count bytes and sleep until they are due.

        Args:
            done: Bytes done since the last call.
            between: Called after each sleep.
        """
        self._done += done
        while self._rate and (ahead := self._done / self._rate - (time.monotonic() - self._started)) > 0:
            time.sleep(min(ahead, STEP_S))
            between()
