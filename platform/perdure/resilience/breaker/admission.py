"""How much of the work that waits behind a breaker may start now: a pure function of its state and the time.

After a breaker closed, what waited for it goes out gradually and not as a herd: a dependency that just came back has cold
caches and empty pools. Of what waits, a share may go that grows from ``FLOOR`` to all over the ramp (as Envoy's slow
start mode with aggression 1 does for a new upstream host), and asks again soon for the rest. Since each look lets a
share of what is left go, and at least one, a small backlog is out long before the ramp is over.
"""

from __future__ import annotations

from msgspec import Struct

from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.machine import MachineState, free_permits, retry_after_ms

FLOOR = 0.1
"""Share let through at the very start; with nothing let through nothing would be learned."""

RAMP_LOOK_S = 0.05
"""Seconds between two looks while work goes out gradually: at least twenty pieces of work per second."""

TRIAL_LOOK_S = 0.1
"""Seconds between two looks while a trial call is under way: its end is seen this much later at most."""

LONGEST_LOOK_S = 0.5
"""Somebody may close an open breaker by hand, long before its recovery time is over."""


class Admission(Struct, frozen=True):
    """``count`` may start now; ``wait`` seconds later it is worth asking for the others (0: there are none)."""

    count: int
    wait: float


def share(config: BreakerConfig, state: MachineState, now_ms: int) -> float:
    """Return the share (0 to 1) of waiting work that may go: 0 while not closed, growing to 1 after the closing."""
    if state.state != "closed":
        return 0.0
    elapsed, ramp = (now_ms - state.closed_at_ms) / 1000, config.ramp
    if not state.opened or ramp <= 0 or elapsed >= ramp:
        return 1.0
    return max(FLOOR, elapsed / ramp)


def admission(config: BreakerConfig, state: MachineState, now_ms: int, count: int) -> Admission:
    """Return how many of ``count`` waiting pieces of work may start now.

    - Closed: all; after an opening a growing share, at least one.
    - To be tried: as many as trial calls are free.
    - Open: none.
    """
    if count <= 0:
        return Admission(0, 0.0)
    if state.state == "closed":
        now = max(1, int(count * share(config, state, now_ms)))
        return Admission(now, RAMP_LOOK_S if now < count else 0.0)
    if state.state == "open" and not 0 <= state.until_ms <= now_ms:
        return Admission(0, min(retry_after_ms(config.numbers, state, now_ms) / 1000, LONGEST_LOOK_S))
    now = min(count, free_permits(config.numbers, state, now_ms))
    return Admission(now, TRIAL_LOOK_S if now < count else 0.0)
