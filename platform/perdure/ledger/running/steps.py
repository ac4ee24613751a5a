"""Durable steps: what each step of a job returned, written under the job's fence."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now
from perdure.ledger.running.checkpoints import Standing, standing
from perdure.ledger.schema import steps


@dataclass(frozen=True, slots=True)
class StepRecord:
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


def of_job(connection: Connection, job_id: str) -> list[StepRecord]:
    """Return a job's steps in their order."""
    columns = (steps.c[name] for name in StepRecord.__slots__)
    rows = connection.execute(select(*columns).where(steps.c.job_id == job_id).order_by(steps.c.position))
    return [StepRecord(**row._mapping) for row in rows]


def record(connection: Connection, job_id: str, fence: int, step: StepRecord) -> Standing:
    """Write a step that succeeded; safe to repeat.

    Raises:
        LeaseLost: The fence is stale; nothing was written.
    """
    now_standing = standing(connection, job_id, fence, lock=True)
    values = {name: getattr(step, name) for name in StepRecord.__slots__} | {"fence": fence}
    statement = insert_ignoring(steps, connection.dialect.name)
    connection.execute(statement.values(job_id=job_id, finished_at=now(), **values))
    return now_standing
