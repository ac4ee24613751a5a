"""When to start a process again that died: at once the first time, ever later when it keeps dying."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 10.0
"""A process that lived this long was healthy. Its death is no fault of its own, and it is missed: a worker's jobs wait."""


@dataclass
class Backoff:
    """Exponential backoff of one process: none after a healthy life, then 0.1 s, 0.2 s, 0.4 s ... 30 s.

    Args:
        first: seconds before the restart after the first short life.
        maximum: longest delay in seconds.
        healthy_after: seconds of life after which it is started again at once, and the count starts anew.
    """

    first: float = FIRST_DELAY_SECONDS
    maximum: float = MAX_DELAY_SECONDS
    healthy_after: float = HEALTHY_AFTER_SECONDS
    deaths: int = 0

    def after_death(self, lived: float) -> float:
        """Count a death and return the seconds to wait: ``min(maximum, first * 2 ** (short lives in a row - 1))``.

        Args:
            lived: seconds that the process lived.
        """
        if lived >= self.healthy_after:
            self.deaths = 0
            return 0.0
        self.deaths += 1
        # The exponent is bounded: 2.0 ** 1024 overflows, and the maximum is long reached by then.
        return min(self.maximum, self.first * 2.0 ** min(self.deaths - 1, 32))
