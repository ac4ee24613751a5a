"""The rest of the project: it has not changed."""

from __future__ import annotations

from typing import Any

from tasks import charge


def checkout(order: str, cents: int) -> Any:
    """Charge at once."""
    return charge.delay(order, cents)


def checkout_later(order: str, cents: int) -> Any:
    """Charge in a moment."""
    return charge.apply_async((order,), {"cents": cents}, countdown=0.5)
