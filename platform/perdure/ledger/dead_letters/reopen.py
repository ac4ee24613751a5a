"""Taking a discard back: letters that were discarded are again what they were before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dead_letters import audit, writing
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, one_of, texts
from perdure.model.dead_letter import DISCARDED, OPEN, REPLAYED, Actor

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_BEFORE = f"CASE WHEN replayed_as IS NULL THEN '{OPEN}' ELSE '{REPLAYED}' END"
_DISCARDED = {
    dialect: f"SELECT id, fingerprint, {_BEFORE} FROM perdure_dead_letters "
    f"WHERE {one_of(dialect, 'id', 'ids')} AND status = '{DISCARDED}' ORDER BY id {FOR_UPDATE[dialect]}"
    for dialect in DIALECTS
}
_REOPEN = {
    dialect: f"UPDATE perdure_dead_letters SET status = {_BEFORE}, resolved_reason = NULL "
    f"WHERE {one_of(dialect, 'id', 'ids')}"
    for dialect in DIALECTS
}
_DISCARDED_BETWEEN = """
    SELECT id, letter_id FROM perdure_dead_letter_audit a
    WHERE id > :first AND id < :last AND action = 'discard' AND who = :who AND letter_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM perdure_dead_letter_audit again
        WHERE again.letter_id IS NOT NULL AND again.letter_id = a.letter_id
            AND again.id > :last AND again.action = 'discard'
    )
    ORDER BY id LIMIT :most
"""


def reopen(connection: Where, letter_ids: Sequence[str], actor: Actor) -> list[str]:
    """Make those of some letters that are discarded what they were before, and return their ids."""
    dialect = connection.dialect.name
    letters = direct.rows(connection, _DISCARDED[dialect], {"ids": texts(dialect, letter_ids)})
    if not letters:
        return []
    ids = [letter_id for letter_id, _, _ in letters]
    direct.run(connection, _REOPEN[dialect], {"ids": texts(dialect, ids)})
    entries = [{"letter_id": letter_id, "fingerprint": fingerprint} for letter_id, fingerprint, _ in letters]
    audit.record(connection, actor, "reopen", entries)
    writing.shift(connection, [(fingerprint, DISCARDED, before) for _, fingerprint, before in letters])
    return ids


def discarded_between(connection: Where, who: str, first: str, last: str, limit: int) -> dict[str, str]:
    """Return what somebody discarded in one go, as the audit trail tells it: letters by the ids of their entries.

    Letters that were discarded once more after that are left out: that was another decision.

    Args:
        connection: Where to read.
        who: Who discarded them.
        first: An id that was made before the first entry, or the last entry of the page before.
        last: An id that was made after the last one.
        limit: The most to return.
    """
    values = {"who": who, "first": first, "last": last, "most": limit}
    return dict(direct.rows(connection, _DISCARDED_BETWEEN, values))
