"""``app.bulkheads``: the queues with worker processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.broker.queues import queue_name
from perdure.errors import UnknownBulkhead
from perdure.ledger.bulkheads import BulkheadCounts
from perdure.settings.settings import BulkheadSettings

if TYPE_CHECKING:
    from perdure.app import Perdure


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """A bulkhead: its settings and what is in it now."""

    name: str
    queue: str
    settings: BulkheadSettings
    counts: BulkheadCounts


class Bulkheads(Mapping[str, Bulkhead]):
    """The configured bulkheads by name, read from the ledger each time."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def __getitem__(self, name: str) -> Bulkhead:
        return self._bulkhead(self.checked(name), self._app.ledger.bulkhead_counts())

    def __iter__(self) -> Iterator[str]:
        return iter(self._app.settings.bulkheads)

    def __len__(self) -> int:
        return len(self._app.settings.bulkheads)

    def list(self) -> list[Bulkhead]:
        """Return all bulkheads, read in one go."""
        counts = self._app.ledger.bulkhead_counts()
        return [self._bulkhead(name, counts) for name in self]

    def pause(self, name: str, *, by: str = "python", reason: str = "") -> None:
        """Let no job of a bulkhead start until it is resumed; those that run go on.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._app.ledger.pause(self.checked(name), by, reason)

    def resume(self, name: str) -> None:
        """Let a paused bulkhead's jobs start again.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._app.ledger.resume(self.checked(name))
        self._app.bells.ring(name, self._app.settings.bulkheads[name].concurrency)

    def checked(self, name: str) -> str:
        """Return the name of a configured bulkhead.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        if name not in self._app.settings.bulkheads:
            raise UnknownBulkhead(name, self._app.settings.bulkheads)
        return name

    def _bulkhead(self, name: str, counts: Mapping[str, BulkheadCounts]) -> Bulkhead:
        settings = self._app.settings.bulkheads[name]
        return Bulkhead(name, queue_name(name), settings, counts.get(name, BulkheadCounts()))
