"""How many jobs wait behind each circuit breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT
from perdure.model.states import WAITING_STATES

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Waiting jobs that are counted at most, so that a page does not read a backlog of millions.
MOST_COUNTED = 10_000

_WAITING = ", ".join(f"'{state}'" for state in sorted(WAITING_STATES))
_BEHIND = {
    dialect: f"""
    SELECT breaker, count(*) FROM (
        SELECT breaker FROM {HOT[dialect]} WHERE state IN ({_WAITING}) AND breaker IS NOT NULL LIMIT {MOST_COUNTED}
    ) AS waiting GROUP BY breaker
    """
    for dialect in DIALECTS
}


def waiting_behind(connection: Where) -> dict[str, int]:
    """Return how many jobs that wait would meet each breaker, counted to ``MOST_COUNTED`` in all."""
    return dict(direct.rows(connection, _BEHIND[connection.dialect.name], {}))
