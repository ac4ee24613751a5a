"""Numbers of things, in words."""

from __future__ import annotations


def many(number: int, noun: str) -> str:
    """Return a number of things with its thousands apart, one thing as one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
