"""When the supervisors' duties were last done, whoever did them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from perdure.ledger.conditions import inserting
from perdure.ledger.now import now
from perdure.ledger.schema import facts

#: What the names of these facts begin with.
_PREFIX = "duty:"


def report(connection: Connection, duties: Sequence[str], enough: float) -> None:
    """Note that duties were done just now.

    Args:
        connection: Where to write.
        duties: Their names.
        enough: Seconds for which somebody else's report is new enough, so that nothing is written.
    """
    statement = inserting(facts, connection.dialect.name)
    # In one order, so that two supervisors never wait for each other.
    rows = [{"name": f"{_PREFIX}{duty}", "value": "", "updated_at": now()} for duty in sorted(duties)]
    changed = {"updated_at": statement.excluded.updated_at}
    is_old = facts.c.updated_at < statement.excluded.updated_at - enough
    connection.execute(statement.values(rows).on_conflict_do_update(index_elements=["name"], set_=changed, where=is_old))


def ages(connection: Connection) -> dict[str, float]:
    """Return how many seconds ago each duty was reported done last; nothing where no supervisor has run yet."""
    query = select(facts.c.name, (now() - facts.c.updated_at).label("age")).where(facts.c.name.like(f"{_PREFIX}%"))
    return {row.name.removeprefix(_PREFIX): max(0.0, row.age) for row in connection.execute(query)}
