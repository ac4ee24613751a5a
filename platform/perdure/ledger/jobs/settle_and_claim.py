"""Settling a slice and claiming the next one: one transaction, so that a child waits for one commit between two slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.jobs import claim, settle
from perdure.ledger.jobs.claim import Claimer, Since
from perdure.ledger.jobs.settle import Ending, Settled
from perdure.ledger.running.claims import CLAIM_COLUMNS
from perdure.model.lanes import PLAIN
from perdure.model.records import Claim

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Rows of two kinds: what was settled, then what was claimed. Both parts see the ledger as it was before, in which what is
#: settled runs and what is claimed waits: no job is of both.
_BOTH = f"""
    WITH {settle.PARTS}, claimed AS ({claim.OF_ONE_LANE})
    SELECT of_job, now_state, {", ".join("NULL" for _ in CLAIM_COLUMNS)} FROM settled
    UNION ALL SELECT NULL, NULL, {", ".join(CLAIM_COLUMNS)} FROM claimed
"""


def settle_and_claim(
    connection: Where, endings: Sequence[Ending], by: Claimer, most: int, since: Since, release: str | None = None
) -> tuple[Settled, list[Claim]]:
    """Record how claims ended, and claim the first jobs of the plain lane; both or neither.

    Args:
        connection: Where to do it, in a transaction unless :func:`settle.in_one_statement`.
        endings: See :func:`settle.settle_all`.
        by: Who claims.
        most: How many at most.
        since: See :func:`claim.claim`.
        release: See :func:`settle.settle_all`.
    """
    if not settle.in_one_statement(connection.dialect.name, endings):
        settled = settle.settle_all(connection, endings, release) if endings else Settled()
        return settled, claim.claim(connection, by, most, since=since)
    values = {**settle.parameters(endings), **claim.of_one_lane(by, PLAIN, most, since)}
    rows = direct.rows(connection, _BOTH, values)
    states = {job_id: state for job_id, state, *_ in rows if job_id is not None}
    return settle.judged(connection, endings, states), claim.in_order(row[2:] for row in rows if row[0] is None)
