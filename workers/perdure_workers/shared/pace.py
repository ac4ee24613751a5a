"""A pace for what may take long: it is done again when it has rested for so many times as long as it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Pace:
    """Keeps something to a small part of the time.

    Args:
        rest: It rests for so many times as long as it took,
        longest: but for no more than so many seconds.
        shortest: What took less than so many seconds needs no rest.
    """

    def __init__(self, rest: float, longest: float, shortest: float = 0.0) -> None:
        self._rest = rest
        self._longest = longest
        self._shortest = shortest
        self._due_at = 0.0
        #: Seconds that it took the last time.
        self.took = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it has rested enough."""
        return time.monotonic() >= self._due_at

    def end_rest(self) -> None:
        """Let it be due at once."""
        self._due_at = 0.0

    def timed(self, work: Callable[[], Result]) -> Result:
        """Do it, and let it rest."""
        began = time.monotonic()
        try:
            return work()
        finally:
            ended = time.monotonic()
            self.took = ended - began
            rest = min(self._longest, self._rest * self.took)
            self._due_at = ended + rest if self.took > self._shortest else 0.0
