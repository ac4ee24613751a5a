"""The jobs' own table, without the partitions of history that PostgreSQL reads as parts of it.

What waits or runs is never in a partition. Statements that run for each job, or again and again, leave the partitions
out: to plan a statement for each of them costs more than the statement.
"""

from __future__ import annotations

from typing import Any, Final, TypeVarTuple

from sqlalchemy import Select

from perdure.ledger.schema import jobs

Columns = TypeVarTuple("Columns")

#: For an UPDATE or DELETE that is not: ``update(jobs).with_hint(**ONLY)``.
ONLY: Final[dict[str, Any]] = {"text": "ONLY", "dialect_name": "postgresql"}


def hot(query: Select[*Columns]) -> Select[*Columns]:
    """Return a query that reads jobs, without the partitions."""
    return query.with_hint(jobs, **ONLY)
