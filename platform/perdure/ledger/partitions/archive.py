"""Moving jobs that succeeded into the partition of when they ended, in batches, with what belongs to them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.clock import clock
from perdure.ledger.dialects import HOT
from perdure.ledger.partitions.tables import JOBS, OF_JOBS, make, name_of
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: What was made since cannot have ended before: without the bound of the ids the last page would read all that is kept.
_ENDED = f"""
    SELECT id, finished_at FROM {HOT["postgresql"]}
    WHERE state = '{JobState.SUCCEEDED}' AND finished_at < :before AND replica_of IS NULL AND id > :after AND id < :made_by
    ORDER BY id LIMIT :page FOR UPDATE SKIP LOCKED
"""
#: Whether each of the tables that belong to jobs has something of a page's: most jobs have attempts alone.
_HAS_ANY = "SELECT " + ", ".join(
    f"EXISTS (SELECT 1 FROM ONLY {table} WHERE job_id BETWEEN :first AND :last)" for table in OF_JOBS
)


def archive(connection: Where, period: float, rest: float, after: str, page: int) -> list[str]:
    """Move a page of jobs into partitions, in the caller's transaction, and return their ids in order.

    Nothing changes a job that succeeded, so nobody looks for it in the table again. Replicas stay: when a sibling is
    claimed, the table says which workers had one.

    Args:
        connection: A connection to PostgreSQL.
        period: Seconds that each partition holds.
        rest: Only jobs that ended so many seconds ago; longer than any submit or settlement is repeated.
        after: Only jobs whose ids come after this one.
        page: How many at most.
    """
    before = clock(connection) - rest
    values = {"before": before, "after": after, "made_by": earliest_id(before + CLOCK_SKEW), "page": page}
    parts: dict[float, list[str]] = defaultdict(list)
    ended = direct.rows(connection, _ENDED, values)
    if not ended:
        return []
    for job_id, finished_at in ended:
        parts[(finished_at // period + 1) * period].append(job_id)
    [has_any] = direct.rows(connection, _HAS_ANY, {"first": ended[0][0], "last": ended[-1][0]})
    tables = [(JOBS, "id"), *((table, "job_id") for table, has in zip(OF_JOBS, has_any, strict=True) if has)]
    for until, ids in parts.items():
        make(connection, until)
        for table, key in tables:
            # A partition inherits its columns from the table, in the table's order.
            moved = f"DELETE FROM ONLY {table} WHERE {key} = ANY(CAST(:ids AS text[])) RETURNING *"
            into = f"INSERT INTO {name_of(table, until)} SELECT * FROM moved"
            direct.run(connection, f"WITH moved AS ({moved}) {into}", {"ids": ids})
    return [job_id for job_id, _ in ended]
