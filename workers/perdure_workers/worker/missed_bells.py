"""Which jobs a bell should have told an idle child of, and none did: a look found them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from perdure.model.records import Claim

#: Seconds after a submit by which one of the looks that come each second has found it. What waited for longer was held back
#: by something else, such as a pause.
LOOKED = 2.0
#: Seconds by which a bell has come after a submit: a program that has just started submits before it is connected.
LATE = 2.0
#: Seconds that a bell may have been heard before the submit: while one waits nobody rings again.
BEFORE = 0.1


class MissedBells:
    """Counts them for one child. A bell that is heard up to two seconds late was slow, and not lost.

    Args:
        heard_at: Returns when the worker heard a bell last, on the monotonic clock.
        count: Called for each job that was missed.
        clock: The monotonic clock, seconds.
    """

    def __init__(
        self, heard_at: Callable[[], float], count: Callable[[], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard_at, self._count, self._clock = heard_at, count, clock
        self._idle_since = clock()
        #: When jobs were submitted of which no bell has told yet.
        self._found: deque[float] = deque()

    def is_idle(self) -> None:
        """Note that the child holds no job any more."""
        self._idle_since = self._clock()

    def is_told(self, claims: Sequence[Claim], asked_at: float) -> bool:
        """Take note of what was claimed, and return whether a bell may have told of all of it.

        Only jobs count that were submitted to run at once while the child was idle, and that nothing held back: for others
        nobody rings, or nobody would have come.

        Args:
            claims: What was claimed.
            asked_at: When the child began to claim, on the monotonic clock.
        """
        heard_at = self._heard_at()
        while self._found and asked_at - self._found[0] > LATE:
            if heard_at < self._found.popleft() - BEFORE:
                self._count()
        idle = min(asked_at - self._idle_since, LOOKED)
        waits = [claim.started_at - claim.queued_at for claim in claims if _rings(claim)]
        found = [asked_at - waited for waited in waits if waited <= idle and heard_at < asked_at - waited - BEFORE]
        self._found.extend(found)
        return not found


def _rings(claim: Claim) -> bool:
    return claim.is_plain and claim.fence == 1 and claim.queued_at <= claim.created_at
