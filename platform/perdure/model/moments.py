"""Moments as people type them: ``2h`` ago, ``yesterday``, or a date."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from perdure.errors import InvalidArguments

#: What is understood, for messages and help.
UNDERSTOOD = "30s, 10m, 2h, 3d or 1w (ago), now, today, yesterday, 2026-01-31, 2026-01-31T12:00:00+00:00 (else UTC)"

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)(?: ago)?")
_DAYS = {"today": 0, "yesterday": 1}


def moment(name: str, said: str | datetime | float, now: float | None = None) -> float:
    """Return the moment that a text means, epoch seconds; what is no text is a moment already.

    Args:
        name: What it is for, for the error.
        said: Such as ``2h``, ``yesterday`` (its beginning, in UTC) or a date. A naive datetime is local time, as in Python.
        now: The time now, epoch seconds; the machine's clock by default.

    Raises:
        InvalidArguments: The text means none; the message says what is understood.
    """
    if not isinstance(said, str):
        return said.timestamp() if isinstance(said, datetime) else float(said)
    at, wanted = time.time() if now is None else now, said.strip().lower()
    if wanted == "now":
        return at
    if (ago := _AGO.fullmatch(wanted)) is not None:
        return max(at - float(ago[1]) * _UNITS[ago[2]], 0.0)
    if wanted in _DAYS:
        midnight = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=_DAYS[wanted])).timestamp()
    try:
        found = datetime.fromisoformat(said.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidArguments(f"{name}={said!r} is no moment. Write {UNDERSTOOD}") from None
