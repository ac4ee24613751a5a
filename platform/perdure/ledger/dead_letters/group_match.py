"""Which faults the letters are of that a filter means: groups know their counts, not which of them match."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from perdure.ledger.dead_letters.find import matching
from perdure.ledger.schema import dead_letters
from perdure.model.dead_letter import LetterFilter

#: The newest letters that match which are counted by fault.
COUNTED = 10_000


def matching_by_fault(connection: Connection, which: LetterFilter, most: int) -> dict[str, int]:
    """Return fingerprints with how many of the newest ``COUNTED`` letters that match are of each, the most first.

    Args:
        connection: Where to read.
        which: The filter.
        most: Faults that are returned.
    """
    newest = matching(connection, which, dead_letters.c.fingerprint).limit(COUNTED).subquery()
    count = func.count().label("letters")
    rows = connection.execute(
        select(newest.c.fingerprint, count).group_by(newest.c.fingerprint).order_by(count.desc()).limit(most)
    )
    return {row.fingerprint: row.letters for row in rows}
