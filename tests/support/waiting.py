"""Wait for what a test needs, not for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout: float = 10, interval: float = 0.02, message: str | Callable[[], str] = ""
) -> T:
    """Call ``condition`` until it returns something true, and return that.

    Args:
        condition: what to wait for; an exception that it raises ends the wait.
        timeout: seconds until the wait fails.
        interval: seconds between two calls.
        message: what was awaited, or a function that tells more when the wait has failed.

    Raises:
        AssertionError: the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            told = message() if callable(message) else message
            raise AssertionError(f"not within {timeout:g} s: {told or condition!r} (last value: {value!r})")
        time.sleep(interval)
