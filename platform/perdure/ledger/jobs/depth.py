"""How many jobs wait in a bulkhead: what ``max_depth`` is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


def _depth(dialect: str) -> str:
    # Jumps from one lane and priority to the next and counts what is due in each: jobs whose time has not come are not
    # read, however many there are. Each row has the count of those before it.
    def next_one(column: str, where: str) -> str:
        return f"""(
            SELECT n.{column} FROM {HOT[dialect]} n WHERE n.bulkhead = :bulkhead AND n.run_at IS NOT NULL {where}
            ORDER BY n.lane, n.priority LIMIT 1
        )"""

    behind = "AND (n.lane, n.priority) > (step.lane || '', step.priority + 0)"
    return f"""
    WITH RECURSIVE step(lane, priority, counted) AS (
        SELECT {next_one("lane", "")}, {next_one("priority", "")}, 0
        UNION ALL
        SELECT {next_one("lane", behind)}, {next_one("priority", behind)}, CAST(counted + (
            SELECT count(*) FROM (
                SELECT 1 FROM {HOT[dialect]} d
                WHERE d.bulkhead = :bulkhead AND d.lane = step.lane || '' AND d.priority = step.priority + 0
                    AND d.run_at <= {NOW[dialect]} ORDER BY d.run_at LIMIT :bound
            ) AS due
        ) AS int)
        FROM step WHERE step.lane IS NOT NULL AND counted < :bound
    )
    SELECT max(counted) FROM step
    """


_DEPTH = {dialect: _depth(dialect) for dialect in DIALECTS}


def depth(connection: Where, bulkhead: str, bound: int) -> int:
    """Return how many jobs wait in a bulkhead and may run now, counting no further than ``bound``."""
    values = {"bulkhead": bulkhead, "bound": bound}
    [(counted,)] = direct.rows(connection, _DEPTH[connection.dialect.name], values)
    return min(int(counted), bound)
