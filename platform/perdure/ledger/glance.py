"""What the overview of a user interface needs at a glance, read by few and cheap statements."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from perdure.ledger.now import now
from perdure.ledger.schema import bulkheads, dead_letter_groups, dead_letters
from perdure.model.ids import earliest_id

#: New letters that are counted at most.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """Dead letters at a glance.

    Attributes:
        open: Letters that are open now.
        faults: Faults that they are of.
        new: Letters that were written in the last hour, counted to ``MOST_COUNTED``.
    """

    open: int
    faults: int
    new: int


def letter_counts(connection: Connection) -> LetterCounts:
    """Return how many dead letters are open, of how many faults, and how many are new."""
    c = dead_letter_groups.c
    row = connection.execute(
        select(func.coalesce(func.sum(c.open), 0), func.count(), now()).select_from(dead_letter_groups).where(c.open > 0)
    ).one()
    hour_ago = row[2] - 3600.0
    d = dead_letters.c
    new = select(d.id).where(d.id >= earliest_id(hour_ago), d.created_at >= hour_ago).limit(MOST_COUNTED).subquery()
    return LetterCounts(int(row[0]), int(row[1]), connection.execute(select(func.count()).select_from(new)).scalar_one())


def paused_since(connection: Connection) -> dict[str, float]:
    """Return since when each paused bulkhead is paused, epoch seconds."""
    query = select(bulkheads.c.name, bulkheads.c.paused_at).where(bulkheads.c.paused)
    return {row.name: row.paused_at for row in connection.execute(query) if row.paused_at is not None}
