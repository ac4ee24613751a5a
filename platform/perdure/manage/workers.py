"""``app.workers``: the worker processes that the ledger knows."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from perdure.model.records import WorkerRecord
from perdure.model.worker_health import WorkerEvent

if TYPE_CHECKING:
    from perdure.ledger import Ledger

logger = logging.getLogger("perdure.workers")


class Workers:
    """The workers of an application."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._subscribers: list[Callable[[WorkerEvent], object]] = []

    def list(self, *, all_states: bool = False) -> list[WorkerRecord]:
        """Return the live workers by name; with ``all_states`` those that failed or left as well."""
        return self._ledger.workers.listing(all_states=all_states)

    def events(self, *, name: str | None = None, limit: int = 100) -> builtins.list[WorkerEvent]:
        """Return changes of workers' states with their detection times, the newest first.

        Args:
            name: Only those of the worker of this name.
            limit: The most to return.
        """
        return self._ledger.workers.events(name=name, limit=limit)

    def subscribe(self, subscriber: Callable[[WorkerEvent], object]) -> None:
        """Call a function with each change of a worker's state that this process finds or makes."""
        self._subscribers.append(subscriber)

    def emit(self, event: WorkerEvent) -> None:
        """Log a change and pass it on; a subscriber that fails stops nobody else."""
        level = logging.WARNING if event.is_failure else logging.INFO
        logger.log(level, "worker %s: %s -> %s: %s", event.name, event.source or "new", event.target, event.reason)
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                logger.exception("subscriber %r failed on %s", subscriber, event)
