"""How much is tried of what could be tried for ever: a part each time, all of it with ``make test THOROUGH=1``."""

from __future__ import annotations

import os

IS_THOROUGH = bool(os.environ.get("THOROUGH"))


def part_of(all_of_it: int) -> int:
    """Return how many examples of a property are drawn: a quarter of those that a thorough run draws."""
    return all_of_it if IS_THOROUGH else max(1, all_of_it // 4)
