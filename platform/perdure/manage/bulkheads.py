"""``app.bulkheads``: the queues with worker processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.broker.queues import queue_name
from perdure.ledger.bulkheads import BulkheadCounts
from perdure.settings.settings import BulkheadSettings

if TYPE_CHECKING:
    from perdure.broker.bells import Bells
    from perdure.ledger import Ledger
    from perdure.settings.settings import Settings


class Bulkhead(Struct, frozen=True):
    """A bulkhead: its settings and what is in it now."""

    name: str
    queue: str
    settings: BulkheadSettings
    counts: BulkheadCounts


class Bulkheads(Mapping[str, Bulkhead]):
    """The configured bulkheads by name, read from the ledger each time."""

    def __init__(self, settings: Settings, ledger: Ledger, bells: Callable[[], Bells]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._bells = bells

    def __getitem__(self, name: str) -> Bulkhead:
        return self._bulkhead(self.checked(name), self._ledger.bulkheads.counts())

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings.bulkheads)

    def __len__(self) -> int:
        return len(self._settings.bulkheads)

    def list(self) -> list[Bulkhead]:
        """Return all bulkheads, read in one go."""
        counts = self._ledger.bulkheads.counts()
        return [self._bulkhead(name, counts) for name in self]

    def pause(self, name: str, *, by: str = "python", reason: str = "") -> None:
        """Let no job of a bulkhead start until it is resumed; those that run go on.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._ledger.bulkheads.pause(self.checked(name), by, reason)

    def resume(self, name: str) -> None:
        """Let a paused bulkhead's jobs start again.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._ledger.bulkheads.resume(self.checked(name))
        self._bells().ring(name, self._settings.bulkhead(name).concurrency)

    def checked(self, name: str) -> str:
        """Return the name of a configured bulkhead.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        self._settings.bulkhead(name)
        return name

    def _bulkhead(self, name: str, counts: Mapping[str, BulkheadCounts]) -> Bulkhead:
        settings = self._settings.bulkhead(name)
        return Bulkhead(name, queue_name(name), settings, counts.get(name, BulkheadCounts()))
