"""Durable steps: what each step of a job returned, written under the job's fence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.ledger.running.checkpoints import Standing, standing

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class StepRecord(Struct, frozen=True):
    """A step that succeeded.

    Attributes:
        position: Its place in the order of calls, from 1.
        name: Its name, which no other step of the job has.
        result: JSON text, as stored.
        tries: How often it was called.
        fence: The claim under which it ran; 0 when it was copied from the job that this one replays.
    """

    position: int
    name: str
    result: str
    tries: int
    fence: int = 0


_OF_JOB = "SELECT position, name, result, tries, fence FROM perdure_steps WHERE job_id = :of_job ORDER BY position"
_RECORD = {
    dialect: "INSERT INTO perdure_steps (job_id, position, name, result, tries, fence, finished_at) "
    f"VALUES (:of_job, :position, :name, :result, :tries, :of_fence, {NOW[dialect]}) ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}


def of_job(connection: Where, job_id: str) -> list[StepRecord]:
    """Return a job's steps in their order."""
    return [StepRecord(*row) for row in direct.rows(connection, _OF_JOB, {"of_job": job_id})]


def record(connection: Where, job_id: str, fence: int, step: StepRecord) -> Standing:
    """Write a step that succeeded; safe to repeat.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    now_standing = standing(connection, job_id, fence, lock=True)
    values = {name: getattr(step, name) for name in ("position", "name", "result", "tries")}
    direct.run(connection, _RECORD[connection.dialect.name], {"of_job": job_id, "of_fence": fence, **values})
    return now_standing
