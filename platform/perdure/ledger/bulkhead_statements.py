"""``ledger.bulkheads``: Statements on bulkheads."""

from __future__ import annotations

from perdure.ledger import bulkheads
from perdure.ledger.work import Work


class BulkheadStatements:
    """The bulkheads of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def pause(self, bulkhead: str, by: str, reason: str) -> None:
        """Let no job of a bulkhead start."""
        self._work.direct(lambda c: bulkheads.pause(c, bulkhead, by, reason), create=True)

    def resume(self, bulkhead: str) -> None:
        """Let the jobs of a paused bulkhead start again."""
        self._work.direct(lambda c: bulkheads.resume(c, bulkhead), create=True)

    def counts(self) -> dict[str, bulkheads.BulkheadCounts]:
        """Return what waits and runs in each bulkhead that has jobs or was paused."""
        return self._work.direct(bulkheads.counts)
