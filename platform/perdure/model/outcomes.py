"""What a job raises to say how it wants to go on."""

from __future__ import annotations

from perdure.model.clock import LONGEST_DELAY


class Discard(Exception):
    """Give up at once: the job becomes a dead letter with reason ``discarded``.

    Args:
        reason: Why; shown in the dead letter.
    """


class RetryAfter(Exception):
    """Fail this attempt and try again after a delay that somebody else chose, such as a ``Retry-After`` header.

    Args:
        seconds: The delay in seconds, from 0 to a hundred years; one outside is moved to the nearest end.
        reason: Why; shown in the attempt.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"asked to try again after {seconds:g} s")
        self.seconds = min(max(0.0, float(seconds)), LONGEST_DELAY)


class Snooze(Exception):
    """Run the job again later. No attempt is burned: nothing was tried.

    Args:
        seconds: The delay in seconds, from 0 to a hundred years; one outside is moved to the nearest end.
        reason: Why; shown in the attempt.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"snoozed for {seconds:g} s")
        self.seconds = min(max(0.0, float(seconds)), LONGEST_DELAY)
