"""The idempotency keys of periodic jobs: by them a tick has one job, and a job knows its tick."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_KEY = re.compile(r"tick(?:/.*)?:(\d{1,11}\.\d{3})", re.DOTALL)


def tick_key(schedule: str, task: str, tick: float) -> str:
    """Return the key of a tick's job, which is unique within the task.

    Args:
        schedule: The schedule's name: the task's, or ``task/name``.
        task: The task's name.
        tick: The tick, epoch seconds.
    """
    return f"tick{schedule.removeprefix(task)}:{tick:.3f}"


def tick_of(key: str) -> datetime | None:
    """Return the tick that a key names, in UTC; None for a key that is no tick's."""
    found = _KEY.fullmatch(key)
    return None if found is None else datetime.fromtimestamp(float(found[1]), UTC)
