"""How often drains have cut a job short that keeps nothing of its work, and so begins anew each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT
from perdure.ledger.jobs.notes import NoteKind
from perdure.model.records import Claim

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_HAS_KEPT = {
    dialect: f"""
    SELECT 1 FROM {HOT[dialect]} AS j WHERE j.id = :of_job AND (
        j.checkpointed_at >= j.started_at
        OR EXISTS (SELECT 1 FROM perdure_steps s WHERE s.job_id = j.id AND s.fence = j.fence)
    )
    """
    for dialect in DIALECTS
}
_NOTED = f"SELECT count(*) FROM perdure_job_notes WHERE job_id = :of_job AND kind = '{NoteKind.HANDED_BACK}'"


def begun_anew(connection: Where, claim: Claim) -> int:
    """Return how often a job was cut short with nothing of its work kept, its running attempt included.

    Args:
        connection: A connection.
        claim: The running attempt's; 0 is returned when that has saved a checkpoint or recorded a step.
    """
    of_job = {"of_job": claim.job_id}
    if direct.rows(connection, _HAS_KEPT[connection.dialect.name], of_job):
        return 0
    [(noted,)] = direct.rows(connection, _NOTED, of_job)
    return 1 + int(noted)
