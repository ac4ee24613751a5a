"""What statements that are written as text say otherwise on each database."""

from __future__ import annotations

from typing import NamedTuple

DIALECTS = ("sqlite", "postgresql")

#: Seconds since the epoch by the database's clock.
NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    # statement_timestamp() is stable, so that an index on the compared column can be used; clock_timestamp() is not.
    "postgresql": "CAST(extract(epoch from statement_timestamp()) AS double precision)",
}
#: The jobs' own table, without the partitions of history; see :mod:`perdure.ledger.hot`.
HOT = {"sqlite": "perdure_jobs", "postgresql": "ONLY perdure_jobs"}


class Dialect(NamedTuple):
    """Which database it is, under the name that SQLAlchemy's connections have it."""

    name: str
