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


class NodeUnfit(Exception):
    """Stop this node's worker: the node, and not the job, is at fault (a disk that is read-only, a device that is gone).

    Fail-stop (Schlichting and Schneider 1983): the worker begins no more jobs, drains and ends. The job goes to another one
    at once, as after a crash: no retry is burned, and after ``max_crashes`` nodes it is a dead letter.

    Args:
        reason: Why; shown with the worker.
    """
