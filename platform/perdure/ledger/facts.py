"""Small facts about the platform itself, and turns: what one of many processes does once in a while."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from perdure.ledger.conditions import insert_ignoring, upsert
from perdure.ledger.now import now
from perdure.ledger.schema import facts


def get(connection: Connection, name: str) -> str | None:
    """Return a fact's value."""
    found: str | None = connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar_one_or_none()
    return found


def put(connection: Connection, name: str, value: str) -> None:
    """Write a fact."""
    connection.execute(upsert(facts, connection.dialect.name, ["name"]).values(name=name, value=value, updated_at=now()))


def take_turn(connection: Connection, name: str, every: float) -> bool:
    """Return whether it is time, and nobody else's turn; ``every`` is in seconds."""
    mine = update(facts).where(facts.c.name == name, facts.c.updated_at <= now() - every).values(updated_at=now())
    if connection.execute(mine).rowcount == 1:
        return True
    first = insert_ignoring(facts, connection.dialect.name).values(name=name, value="", updated_at=now())
    return connection.execute(first.returning(facts.c.name)).first() is not None
