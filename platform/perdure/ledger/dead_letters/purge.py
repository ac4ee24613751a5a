"""Deleting the dead letters that somebody chooses."""

from __future__ import annotations

from sqlalchemy import Connection

from perdure.ledger.dead_letters.find import matching
from perdure.ledger.dead_letters.prune import NEEDED, delete
from perdure.ledger.schema import dead_letters
from perdure.model.dead_letter import LetterFilter


def purge(connection: Connection, which: LetterFilter, page: int) -> int:
    """Delete the oldest letters that a filter means, and return how many there were; at most ``page``."""
    query = matching(connection, which, *(dead_letters.c[name] for name in NEEDED), oldest_first=True)
    chosen = query.limit(page).with_for_update(of=dead_letters, skip_locked=True)
    return delete(connection, [dict(row._mapping) for row in connection.execute(chosen)])
