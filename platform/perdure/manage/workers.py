"""``app.workers``: the worker processes that the ledger knows."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perdure.errors import InvalidArguments, did_you_mean
from perdure.model.records import WorkerRecord
from perdure.model.worker_health import Verdict, WorkerEvent, is_barred

if TYPE_CHECKING:
    from perdure.ledger import Ledger

logger = logging.getLogger("perdure.workers")


class Workers:
    """The workers of an application.

    Args:
        ledger: Where they are.
        max_outvoted: Votes that one may lose before it takes part in no more of them; None for any number.
    """

    def __init__(self, ledger: Ledger, max_outvoted: int | None = None) -> None:
        self._ledger = ledger
        self._max_outvoted = max_outvoted
        self._subscribers: list[Callable[[WorkerEvent], object]] = []

    def list(self, *, all_states: bool = False) -> list[WorkerRecord]:
        """Return the live workers by name; with ``all_states`` those that failed or left as well."""
        found = self._ledger.workers.listing(all_states=all_states)
        return [replace(each, barred=is_barred(each.outvoted, self._max_outvoted)) for each in found]

    def events(self, *, name: str | None = None, limit: int = 100) -> builtins.list[WorkerEvent]:
        """Return changes of workers' states with their detection times, the newest first.

        Args:
            name: Only those of the worker of this name.
            limit: The most to return.
        """
        return self._ledger.workers.events(name=name, limit=limit)

    def outvoted(self, name: str, reason: str) -> None:
        """Note that a worker's answer was another one than the majority's; a repeat with the same reason changes nothing.

        Args:
            name: The worker's name.
            reason: In which vote.
        """
        if (event := self._ledger.workers.say(name, Verdict.OUTVOTED, reason)) is not None:
            self.emit(event)

    def is_barred(self, name: str) -> bool:
        """Return whether a worker has lost so many votes that it takes part in no more of them."""
        return self._max_outvoted is not None and is_barred(self._ledger.workers.times_outvoted(name), self._max_outvoted)

    def trust(self, name: str, *, reason: str, by: str) -> None:
        """Count a worker's answers again, and forget the votes that it has lost.

        Args:
            name: The worker's name.
            reason: Why; shown to others.
            by: Who says so.

        Raises:
            InvalidArguments: The ledger knows no worker of that name.
        """
        known = [each.name for each in self.list(all_states=True)]
        if name not in known:
            raise InvalidArguments(
                f"there is no worker {name!r}.{did_you_mean(name, known)} List them: perdure workers list"
            )
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        if (event := self._ledger.workers.say(name, Verdict.TRUSTED, f"{by}, {moment}: {reason}")) is not None:
            self.emit(event)

    def subscribe(self, subscriber: Callable[[WorkerEvent], object]) -> None:
        """Call a function with each change of a worker's state that this process finds or makes."""
        self._subscribers.append(subscriber)

    def emit(self, event: WorkerEvent) -> None:
        """Log a change and pass it on; a subscriber that fails stops nobody else."""
        level = logging.WARNING if event.is_alarming else logging.INFO
        logger.log(level, "worker %s: %s -> %s: %s", event.name, event.source or "new", event.target, event.reason)
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                logger.exception("subscriber %r failed on %s", subscriber, event)
