"""The breaker's sliding window: the last calls, or the last seconds in ten buckets, kept as one short string.

A string because it must fit a field of a Redis hash and be the same in Lua (``add_to_window`` in
``lua/breaker_machine.lua``): a count window is the letters of the last outcomes, a time window is
``bucket:calls:failures:slow`` for each bucket that is not empty.
"""

from __future__ import annotations

from typing import NamedTuple

from perdure.resilience.breaker.config import MachineConfig

BUCKETS = 10


class Tally(NamedTuple):
    """How many calls, how many of them failed, how many were slow."""

    calls: int
    failures: int
    slow: int


def tally(outcomes: str) -> Tally:
    """Count the outcomes' letters (``s`` success, ``S`` slow success, ``f`` failure, ``F`` slow failure)."""
    both = outcomes.count("F")
    return Tally(len(outcomes), outcomes.count("f") + both, outcomes.count("S") + both)


def add_to_window(config: MachineConfig, window: str, now_ms: int, outcomes: str) -> tuple[str, Tally]:
    """Return the window with the outcomes added, and what it then holds."""
    if config.window == "time":
        return _add_to_buckets(config, window, now_ms, tally(outcomes))
    window = (window + outcomes)[-config.window_size :]
    return window, tally(window)


def _add_to_buckets(config: MachineConfig, window: str, now_ms: int, added: Tally) -> tuple[str, Tally]:
    index = now_ms // max(1, config.window_size // BUCKETS)
    buckets = {}
    for item in window.split(","):
        if item:
            at, calls, failures, slow = map(int, item.split(":"))
            if index - BUCKETS < at <= index:
                buckets[at] = Tally(calls, failures, slow)
    # The current bucket goes last, as the Lua twin writes it.
    current = buckets.pop(index, Tally(0, 0, 0))
    buckets[index] = Tally(*(a + b for a, b in zip(current, added, strict=True)))
    total = Tally(*map(sum, zip(*buckets.values(), strict=True)))
    return ",".join(f"{at}:{t.calls}:{t.failures}:{t.slow}" for at, t in buckets.items()), total
