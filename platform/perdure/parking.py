"""What happens to jobs whose circuit breaker is not simply closed: they wait in the ledger and burn nothing."""

from __future__ import annotations

from random import Random

#: Seconds between two looks at a breaker that is being tried, at least and at most.
SHORTEST_LOOK = 0.1
LONGEST_LOOK = 5.0


def delays(
    count: int, *, wait: float, share: float, permits: int, recovery: float, ramp_left: float, rng: Random
) -> list[float]:
    """Return for each of ``count`` jobs how many seconds it is put off; 0: it may go.

    - Open: all wait for the next trial call, and up to a tenth of the recovery time more, so that they do not come at once.
    - To be tried: as many go as trial calls are allowed; the others look again soon.
    - Just closed: a growing share goes, the others are spread over what is left of the slow start.

    Args:
        count: How many jobs there are, the one that waits longest first.
        wait: Seconds until the breaker lets a call through; 0 when it does.
        share: The part of parked work that may go, from 0 to 1; 0 while the breaker is not closed.
        permits: Trial calls that are allowed.
        recovery: The breaker's recovery time in seconds.
        ramp_left: Seconds that are left of the slow start.
        rng: Randomness for the jitter.
    """
    if wait > 0:
        return [wait + rng.uniform(0, recovery / 10) for _ in range(count)]
    if share <= 0:
        look = min(max(recovery / 10, SHORTEST_LOOK), LONGEST_LOOK)
        return [0.0 if place < permits else look * rng.uniform(0.5, 1.5) for place in range(count)]
    return [0.0 if rng.random() < share else rng.uniform(0, max(ramp_left, SHORTEST_LOOK)) for _ in range(count)]
