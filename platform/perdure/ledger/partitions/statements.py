"""``ledger.partitions``: Statements on partitions of history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger.partitions import archive, dead_rows, rotate, tables
from perdure.ledger.partitions.dead_rows import DeadRows
from perdure.ledger.partitions.rotate import Look
from perdure.ledger.partitions.tables import Partition
from perdure.ledger.work import Work

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class PartitionStatements:
    """The partitions of a ledger on PostgreSQL; SQLite has none.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def existing(self) -> list[Partition]:
        """Return the partitions that there are, the oldest first."""
        return self._work.direct(tables.existing)

    def archive(self, period: float, rest: float, after: str, page: int) -> list[str]:
        """Move a page of jobs that succeeded into partitions and return them; see :func:`archive.archive`.

        Moves none while somebody else is doing this or rotates a table.
        """
        return self._work.direct(
            lambda c: archive.archive(c, period, rest, after, page) if rotate.is_alone(c) else [], autocommit=False
        )

    def look(self) -> Look:
        """Return what is dead in the ledger's tables; see :func:`rotate.look`."""
        return self._work.direct(rotate.look)

    def rotate(self, table: str) -> str | None:
        """Give one of the ledger's tables new storage, or return why not; see :func:`rotate.rotate`."""
        return self._work.direct(lambda c: _rotated(c, table), autocommit=False)

    def dead_rows(self) -> DeadRows:
        """Return what is dead in the ledger's tables, and why; see :func:`dead_rows.find`."""
        return self._work.direct(dead_rows.find)

    def protects(self, until: float) -> bool:
        """Return whether a partition has an idempotency key that is in force."""
        return self._work.direct(lambda c: tables.protects(c, until))

    def checkpointed(self, until: float, after: str, page: int) -> list[str]:
        """Return a page of a partition's jobs that have checkpoints; see :func:`tables.checkpointed`."""
        return self._work.direct(lambda c: tables.checkpointed(c, until, after, page))

    def drop(self, until: float) -> None:
        """Drop a partition; see :func:`tables.drop`."""
        self._work.direct(lambda c: tables.drop(c, until), autocommit=False)


def _rotated(connection: Where, table: str) -> str | None:
    why_not = rotate.rotate(connection, table)
    if why_not is None:
        dead_rows.note_rotation(connection, table)
    return why_not
