"""Identifiers: UUID version 7 (RFC 9562), which sort by the time at which they were made."""

from __future__ import annotations

from uuid_utils import uuid7

#: Seconds by which a submitter's clock may be slow before a list "since" a moment misses its jobs.
CLOCK_SKEW = 24 * 3600.0


def new_id() -> str:
    """Return a new UUIDv7 as text; ids made by one process sort in the order of their making."""
    return str(uuid7())


def earliest_id(moment: float) -> str:
    """Return the smallest id that can have been made at a moment: ids made later sort after it.

    Args:
        moment: Seconds since the epoch; outside of what an id can carry, the nearest.
    """
    milliseconds = min(max(int(moment * 1000), 0), 2**48 - 1)
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"
