"""Identifiers: UUID version 7 (RFC 9562), which sort by the time at which they were made."""

from __future__ import annotations

from uuid_utils import uuid7


def new_id() -> str:
    """Return a new UUIDv7 as text; ids made by one process sort in the order of their making."""
    return str(uuid7())
