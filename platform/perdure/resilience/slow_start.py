"""Slow start: after a breaker closed, the work that waited for it goes out gradually and not as a herd.

A dependency that just came back has cold caches and empty pools. The share that may go grows linearly over ``ramp``
seconds from ``FLOOR`` to 1 (as Envoy's slow start mode with aggression 1 does for a new upstream host).
"""

from __future__ import annotations

import random

FLOOR = 0.1
"""Share let through at the very start; with nothing let through nothing would be learned."""


def share(elapsed: float, ramp: float) -> float:
    """Return the share (0.1 to 1) of parked work that may go ``elapsed`` seconds after the closing."""
    if ramp <= 0 or elapsed >= ramp:
        return 1.0
    return max(FLOOR, max(0.0, elapsed) / ramp)


def delay(elapsed: float, ramp: float, rng: random.Random) -> float:
    """Return how many seconds a parked piece of work should wait: 0 for the current share, else within the ramp.

    The wait is uniform over what is left of the ramp. Work that gets a delay need not ask again.
    """
    if rng.random() < share(elapsed, ramp):
        return 0.0
    return rng.uniform(0.0, ramp - max(0.0, elapsed))
