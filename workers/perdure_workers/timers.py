"""Timers of a process that go off together.

A thread that wakes alone finds its code and data gone from the processor's caches, and takes twice the time for a statement
that it needs when others have just sent theirs. So threads that do something again and again wait for a multiple of their
period since this process began, and wake together (timer coalescing, as kernels do it). Two processes' moments differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_BEGAN = time.monotonic()
#: Who is done so short before the next multiple, as part of a period, waits for the one after it.
_TOO_SOON = 0.1


def until_next(period: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Return the seconds to wait until a period's next multiple; up to 1.1 periods."""
    wait = period - (clock() - _BEGAN) % period
    return wait if wait > _TOO_SOON * period else wait + period
