"""Breakers by the names that people type: one of a misspelt name would guard nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.errors import InvalidArguments, did_you_mean

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure.resilience import CircuitBreaker


def breaker_names(app: Perdure) -> set[str]:
    """Return the names of the breakers that somebody configured, names or uses."""
    named = (task.breaker for task in app.tasks.values() if task.breaker)
    return {*app.breakers, *app.settings.resilience.services, *named}


def named_breaker(app: Perdure, name: str, *, create: bool = False) -> CircuitBreaker:
    """Return a breaker that somebody configured, names or uses.

    Args:
        app: The application.
        name: Its name.
        create: Whether it may be a new one.

    Raises:
        InvalidArguments: There is none of that name.
    """
    if not create and name not in (known := breaker_names(app)):
        hint = did_you_mean(name, known)
        listed = f"Known: {', '.join(sorted(known))}" if known else "There are none yet"
        raise InvalidArguments(f"no circuit breaker {name!r} is configured, named by a task or in use.{hint} {listed}")
    return app.breakers[name]
