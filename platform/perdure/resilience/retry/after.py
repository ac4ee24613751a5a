"""Reads what a failing service said about when to come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from perdure.model.outcomes import RetryAfter


def retry_after(error: BaseException, now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that an error asks to wait, or None.

    Understood are perdure's ``RetryAfter``, errors with ``retry_after_s`` or ``retry_after``, and HTTP errors
    whose ``response.headers`` have ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3).
    """
    for attribute in ("retry_after_s", "retry_after"):
        value = getattr(error, attribute, None)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return max(0.0, float(value))
    if isinstance(error, RetryAfter) and isinstance(seconds := getattr(error, "seconds", None), (int, float)):
        return max(0.0, float(seconds))
    headers = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    header = headers.get("Retry-After") or headers.get("retry-after")
    return _parse(str(header), now) if header else None


def _parse(header: str, now: Callable[[], float]) -> float | None:
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now())
    except ValueError:
        return None
