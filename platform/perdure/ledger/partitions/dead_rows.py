"""Dead rows of the ledger's tables: how many there are, for whom PostgreSQL keeps them, and when tables were rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct, facts
from perdure.ledger.dialects import NOW
from perdure.ledger.partitions.rotate import HELD
from perdure.ledger.partitions.tables import OF_LEDGER

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Seconds for which a transaction keeps dead rows until that is told of; and where nobody may say when it began, how many
#: transactions must have begun since.
LONG, MANY = 60.0, 50_000
#: What the names of these facts begin with.
_PREFIX = "rotated:"

_FOUND = f"""
    WITH oldest AS (
        SELECT who, since, age(x) AS later FROM ({HELD}) AS held WHERE x IS NOT NULL ORDER BY age(x) DESC LIMIT 1
    )
    SELECT (SELECT CAST(coalesce(sum(n_dead_tup), 0) AS bigint) FROM pg_stat_user_tables WHERE relid IN ({OF_LEDGER})),
        who, since
    FROM (SELECT 1) AS one
    LEFT JOIN oldest ON CASE WHEN since IS NULL THEN later > :many ELSE since < {NOW["postgresql"]} - :long END
"""
_ROTATED = f"SELECT name, updated_at FROM perdure_facts WHERE starts_with(name, '{_PREFIX}')"


class DeadRows(Struct, frozen=True):
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


def find(connection: Where) -> DeadRows:
    """Return what is dead in the ledger's tables."""
    [(count, who, since)] = direct.rows(connection, _FOUND, {"many": MANY, "long": LONG})
    rotated = direct.rows(connection, _ROTATED, {})
    return DeadRows(count, who, since, {name.removeprefix(_PREFIX): moment for name, moment in rotated})


def note_rotation(connection: Where, table: str) -> None:
    """Note that a table is rotated now."""
    facts.note(connection, f"{_PREFIX}{table}")
