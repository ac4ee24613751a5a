"""Deadlines that nested calls inherit: whoever is called may take no longer than its caller has left.

A deadline lives in a context variable, so it follows ``async`` tasks and what is run in ``contextvars.copy_context()``;
a thread that is started in another way has none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float | None] = ContextVar("perdure-deadline", default=None)


def remaining() -> float | None:
    """Return the seconds that are left, 0 when it is too late, None when there is no deadline."""
    at = _deadline.get()
    return None if at is None else max(0.0, at - time.monotonic())


def capped(seconds: float | None) -> float | None:
    """Return ``seconds`` or what is left, whichever is less; None when neither bounds it."""
    left = remaining()
    if seconds is None or left is None:
        return left if seconds is None else seconds
    return min(seconds, left)


@contextmanager
def deadline(seconds: float | None) -> Iterator[float | None]:
    """Set a deadline for what runs inside; an outer one that ends sooner stays. Yields the seconds that are left.

    It interrupts nothing: it is what timeouts, retries and waits inside are capped by.
    """
    left = capped(seconds)
    token = _deadline.set(None if left is None else time.monotonic() + left)
    try:
        yield left
    finally:
        _deadline.reset(token)
