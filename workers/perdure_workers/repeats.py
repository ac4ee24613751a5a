"""An outage is told of once, and then at intervals: each thread meets it every second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

#: Seconds from one line about the same trouble to the next.
EVERY = 30.0


class Repeats(logging.Filter):
    """Lets a warning that tells of an error through, and those like it only after a while, with how many there were.

    Two are alike when they say the same of the same, whatever their error says. What tells of no error is let through.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        #: When each was let through last, and how many were held back since.
        self._seen: dict[Any, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; one that stands for others says so."""
        if record.levelno != logging.WARNING or not isinstance(record.args, tuple):
            return True
        if not any(isinstance(value, BaseException) for value in record.args):
            return True
        told = tuple(str(value) for value in record.args if not isinstance(value, BaseException))
        key, now = (record.name, record.msg, told), self._clock()
        last, held = self._seen.get(key, (float("-inf"), 0))
        if now - last < EVERY:
            self._seen[key] = (last, held + 1)
            return False
        self._seen[key] = (now, 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} more like this in {now - last:.0f} s)", None
        return True
