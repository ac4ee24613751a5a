"""Time that the test moves."""

from __future__ import annotations


class Clock:
    """Stands in for the module ``time``: it moves when it is told to, or slept on."""

    def __init__(self) -> None:
        self.now = 1000.0
        #: How long each sleep was, seconds.
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
