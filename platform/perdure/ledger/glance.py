"""What the overview of a user interface needs at a glance, read by few and cheap statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.model.ids import earliest_id

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: New letters that are counted at most.
MOST_COUNTED = 10_000

_OPEN = {
    dialect: f"SELECT coalesce(sum(open), 0), count(*), {NOW[dialect]} FROM perdure_dead_letter_groups WHERE open > 0"
    for dialect in DIALECTS
}
_NEW = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM perdure_dead_letters WHERE id >= :first AND created_at >= :since LIMIT {MOST_COUNTED}
    ) AS new
"""
_PAUSED = "SELECT name, paused_at FROM perdure_bulkheads WHERE paused AND paused_at IS NOT NULL"


class LetterCounts(Struct, frozen=True):
    """Dead letters at a glance.

    Attributes:
        open: Letters that are open now.
        faults: Faults that they are of.
        new: Letters that were written in the last hour, counted to ``MOST_COUNTED``.
    """

    open: int
    faults: int
    new: int


def letter_counts(connection: Where) -> LetterCounts:
    """Return how many dead letters are open, of how many faults, and how many are new."""
    [(letters, faults, now)] = direct.rows(connection, _OPEN[connection.dialect.name], {})
    hour_ago = now - 3600.0
    [(new,)] = direct.rows(connection, _NEW, {"first": earliest_id(hour_ago), "since": hour_ago})
    return LetterCounts(int(letters), faults, new)


def paused_since(connection: Where) -> dict[str, float]:
    """Return since when each paused bulkhead is paused, epoch seconds."""
    return dict(direct.rows(connection, _PAUSED, {}))
