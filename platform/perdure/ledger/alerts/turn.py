"""Whose turn it is to look for alerts: one supervisor's, until it stops coming."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from perdure.ledger.conditions import inserting
from perdure.ledger.now import now
from perdure.ledger.schema import facts

_NAME = "alerts:turn"


@dataclass(frozen=True, slots=True)
class LastLook:
    """The last look for alerts: ``holder`` took it, ``age`` seconds ago."""

    holder: str
    age: float


def take(connection: Connection, holder: str, lease: float) -> float | None:
    """Take the turn, or keep it, and return the ledger's time; None when it is somebody else's.

    Args:
        connection: Where to write.
        holder: Who wants it.
        lease: Seconds without a look after which somebody else may have it.
    """
    statement = inserting(facts, connection.dialect.name)
    new = statement.excluded
    is_free = or_(facts.c.value == new.value, facts.c.updated_at < new.updated_at - lease)
    taken = statement.values(name=_NAME, value=holder, updated_at=now()).on_conflict_do_update(
        index_elements=["name"], set_={"value": new.value, "updated_at": new.updated_at}, where=is_free
    )
    moment: float | None = connection.execute(taken.returning(facts.c.updated_at)).scalar_one_or_none()
    return moment


def last(connection: Connection) -> LastLook | None:
    """Return when somebody looked last; None when nobody ever has."""
    query = select(facts.c.value, (now() - facts.c.updated_at).label("age")).where(facts.c.name == _NAME)
    row = connection.execute(query).one_or_none()
    return None if row is None else LastLook(row.value, max(0.0, row.age))
