"""How often drains have cut a job short that keeps nothing of its work, and so begins anew each time."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.schema import job_notes, jobs, steps
from perdure.model.records import Claim

_HAS_KEPT = select(jobs.c.id).where(
    jobs.c.id == bindparam("of_job"),
    or_(
        jobs.c.checkpointed_at >= jobs.c.started_at,
        exists().where(steps.c.job_id == jobs.c.id, steps.c.fence == jobs.c.fence),
    ),
)
_NOTED = select(func.count()).where(
    job_notes.c.job_id == bindparam("of_job"), job_notes.c.kind == NoteKind.HANDED_BACK.value
)


def begun_anew(connection: Connection, claim: Claim) -> int:
    """Return how often a job was cut short with nothing of its work kept, its running attempt included.

    Args:
        connection: A connection.
        claim: The running attempt's; 0 is returned when that has saved a checkpoint or recorded a step.
    """
    if connection.execute(_HAS_KEPT, {"of_job": claim.job_id}).first() is not None:
        return 0
    return 1 + connection.execute(_NOTED, {"of_job": claim.job_id}).scalar_one()
