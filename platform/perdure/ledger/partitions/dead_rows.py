"""Dead rows of the ledger's tables: how many there are, for whom PostgreSQL keeps them, and when tables were rotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from perdure.ledger.conditions import upsert
from perdure.ledger.dialects import NOW
from perdure.ledger.now import now
from perdure.ledger.partitions.rotate import HELD, OF_LEDGER
from perdure.ledger.schema import facts, metadata

#: Seconds for which a transaction keeps dead rows until that is told of; and where nobody may say when it began, how many
#: transactions must have begun since.
LONG, MANY = 60.0, 50_000
#: What the names of these facts begin with.
_PREFIX = "rotated:"

_FOUND = text(
    f"""
    WITH oldest AS (
        SELECT who, since, age(x) AS later FROM ({HELD}) AS held WHERE x IS NOT NULL ORDER BY age(x) DESC LIMIT 1
    )
    SELECT (SELECT CAST(coalesce(sum(n_dead_tup), 0) AS bigint) FROM pg_stat_user_tables WHERE relid IN ({OF_LEDGER})),
        who, since
    FROM (SELECT 1) AS one
    LEFT JOIN oldest ON CASE WHEN since IS NULL THEN later > :many ELSE since < {NOW["postgresql"]} - :long END
    """
)


@dataclass(frozen=True, slots=True)
class DeadRows:
    """The dead rows of a ledger on PostgreSQL.

    Attributes:
        count: How many PostgreSQL has counted in the ledger's tables.
        kept_for: Whose transaction has kept them for a minute; None where vacuum may take all but the latest.
        since: When that began, epoch seconds; None where nobody says so, as of a replication slot and, without
            ``pg_read_all_stats``, of other users' sessions.
        rotated: When each table was rotated last, epoch seconds.
    """

    count: int
    kept_for: str | None
    since: float | None
    rotated: Mapping[str, float]


def find(connection: Connection) -> DeadRows:
    """Return what is dead in the ledger's tables."""
    count, who, since = connection.execute(_FOUND, {"tables": sorted(metadata.tables), "many": MANY, "long": LONG}).one()
    rows = connection.execute(select(facts.c.name, facts.c.updated_at).where(facts.c.name.startswith(_PREFIX)))
    return DeadRows(count, who, since, {row.name.removeprefix(_PREFIX): row.updated_at for row in rows})


def note_rotation(connection: Connection, table: str) -> None:
    """Note that a table is rotated now."""
    values = {"name": f"{_PREFIX}{table}", "value": "", "updated_at": now()}
    connection.execute(upsert(facts, "postgresql", ["name"]).values(values))
