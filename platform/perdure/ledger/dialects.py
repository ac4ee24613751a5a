"""What statements that are written as text say otherwise on each database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

DIALECTS = ("sqlite", "postgresql")

#: Seconds since the epoch by the database's clock.
NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    # statement_timestamp() is stable, so that an index on the compared column can be used; clock_timestamp() is not.
    "postgresql": "CAST(extract(epoch from statement_timestamp()) AS double precision)",
}
#: The jobs' own table, without the partitions of history that PostgreSQL reads as parts of it. What waits or runs is never
#: in one, and to plan a statement for each of them costs more than the statement.
HOT = {"sqlite": "perdure_jobs", "postgresql": "ONLY perdure_jobs"}
#: Locks what a query reads until the transaction ends. SQLite has one writer.
FOR_UPDATE = {"sqlite": "", "postgresql": "FOR UPDATE"}
#: The same of what nobody else has locked.
SKIP_LOCKED = {"sqlite": "", "postgresql": "FOR UPDATE SKIP LOCKED"}


class Dialect(NamedTuple):
    """Which database it is, under the name that SQLAlchemy's connections have it."""

    name: str


def one_of(dialect: str, expression: str, parameter: str) -> str:
    """Return the condition that an expression is one of the texts of a parameter, whose value :func:`texts` returns."""
    if dialect == "sqlite":
        return f"{expression} IN (SELECT value FROM json_each(:{parameter}))"
    return f"{expression} = ANY(CAST(:{parameter} AS text[]))"


def texts(dialect: str, values: Iterable[str]) -> Any:
    """Return any number of texts as the value of one parameter; see :func:`one_of`."""
    return msgspec.json.encode(list(values)).decode() if dialect == "sqlite" else list(values)
