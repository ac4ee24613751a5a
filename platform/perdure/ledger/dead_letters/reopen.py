"""Taking a discard back: letters that were discarded are again what they were before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, case, exists, select, update

from perdure.ledger.dead_letters import audit, writing
from perdure.ledger.schema import dead_letter_audit, dead_letters
from perdure.model.dead_letter import DISCARDED, OPEN, REPLAYED, Actor

_C = dead_letters.c


def reopen(connection: Connection, letter_ids: Sequence[str], actor: Actor) -> list[str]:
    """Make those of some letters that are discarded what they were before, and return their ids."""
    query = select(_C.id, _C.fingerprint, _C.replayed_as).where(_C.id.in_(letter_ids), _C.status == DISCARDED)
    letters = connection.execute(query.order_by(_C.id).with_for_update()).all()
    if not letters:
        return []
    ids = [letter.id for letter in letters]
    before = case((_C.replayed_as.is_(None), OPEN), else_=REPLAYED)
    connection.execute(update(dead_letters).where(_C.id.in_(ids)).values(status=before, resolved_reason=None))
    entries = [{"letter_id": letter.id, "fingerprint": letter.fingerprint} for letter in letters]
    audit.record(connection, actor, "reopen", entries)
    to = [OPEN if letter.replayed_as is None else REPLAYED for letter in letters]
    writing.shift(connection, [(letter.fingerprint, DISCARDED, status) for letter, status in zip(letters, to, strict=True)])
    return ids


def discarded_between(connection: Connection, who: str, first: str, last: str, limit: int) -> dict[str, str]:
    """Return what somebody discarded in one go, as the audit trail tells it: letters by the ids of their entries.

    Letters that were discarded once more after that are left out: that was another decision.

    Args:
        connection: Where to read.
        who: Who discarded them.
        first: An id that was made before the first entry, or the last entry of the page before.
        last: An id that was made after the last one.
        limit: The most to return.
    """
    a, again = dead_letter_audit.c, dead_letter_audit.alias()
    later = (again.c.letter_id == a.letter_id, again.c.id > last, again.c.action == "discard")
    query = select(a.id, a.letter_id).where(a.id > first, a.id < last, a.action == "discard", a.who == who)
    query = query.where(a.letter_id.is_not(None), ~exists().where(again.c.letter_id.is_not(None), *later))
    rows = connection.execute(query.order_by(a.id).limit(limit))
    return {row.id: row.letter_id for row in rows}
