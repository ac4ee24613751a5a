"""Listeners: whoever wants to know what a pattern did. Logs, metrics and hooks subscribe here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

Event = TypeVar("Event")

log = logging.getLogger("perdure.resilience")


class Listeners(Generic[Event]):
    """Calls each subscriber with each event; one that fails is logged and harms neither the call nor the others."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[Event], None], ...] = ()

    def add(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Subscribe; returns a function that unsubscribes."""
        self._listeners = (*self._listeners, listener)
        return lambda: self._remove(listener)

    def _remove(self, listener: Callable[[Event], None]) -> None:
        self._listeners = tuple(each for each in self._listeners if each is not listener)

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def emit(self, event: Event) -> None:
        """Call all subscribers, in the order in which they came."""
        for listener in self._listeners:
            try:  # a listener must not break what it listens to
                listener(event)
            except Exception:
                log.exception("listener %r failed on %r", listener, event)
