"""Randomness for jitter.

The operating system's: it has no state that a fork could copy, so that the children of a worker, which fail together, do
not draw the same delays and come back together.
"""

from __future__ import annotations

import random

#: Draws for jitter; share it freely, also over forks and between threads.
JITTER: random.Random = random.SystemRandom()
