"""Rates as people write them: ``50/s``, ``10/m``, ``5/h``."""

from __future__ import annotations

from perdure.errors import InvalidArguments

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def per_second(rate: str | float | None) -> float | None:
    """Return a rate per second; None for no bound.

    Args:
        rate: A number per second, or a text such as ``50/s``, ``10/m`` or ``5/h``.

    Raises:
        InvalidArguments: It cannot be read or is not positive.
    """
    if rate is None:
        return None
    number, slash, unit = str(rate).partition("/")
    try:
        value = float(number) / _SECONDS[unit.strip() if slash else "s"]
    except (ValueError, KeyError):
        raise InvalidArguments(f"rate={rate!r} cannot be read. Write it like 50/s, 10/m or 5/h") from None
    if not 0 < value < float("inf"):
        raise InvalidArguments(f"rate={rate!r} must be more than 0")
    return value
