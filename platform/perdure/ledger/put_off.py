"""Putting off jobs that have not been claimed: what guards them lets nothing through now, so nothing is tried or burned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, null, select, update

from perdure.ledger.conditions import may
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.ledger.text import MAX_ERROR, storable
from perdure.states import Transition, target


@dataclass(frozen=True, slots=True)
class Behind:
    """A job whose time has come and that a circuit breaker guards; ``snoozes`` says how often it was put off."""

    id: str
    task: str
    bulkhead: str
    breaker: str
    snoozes: int


@dataclass(frozen=True, slots=True)
class Delay:
    """A job of a task, to be run in so many seconds; ``why`` is for people."""

    job_id: str
    task: str
    seconds: float
    why: str


_IS_DUE = (may(Transition.DUE, by_index=False), jobs.c.run_at <= now())
_BEHIND = (
    select(*(jobs.c[name] for name in Behind.__slots__))
    .where(*_IS_DUE, jobs.c.breaker.is_not(None))
    .order_by(jobs.c.run_at)
    .limit(bindparam("page"))
)

_PUT_OFF = (
    update(jobs)
    # The task is compared because a ticket, which anybody may have forged, named it.
    .where(jobs.c.id == bindparam("of_job"), jobs.c.task == bindparam("of_task"), may(Transition.PUT_OFF, by_index=False))
    .values(
        state=target(Transition.PUT_OFF).value,
        run_at=now() + bindparam("in_seconds"),
        queued_at=null(),
        ticketed_at=null(),
        snoozes=jobs.c.snoozes + 1,
        error=bindparam("why"),
    )
)


def due_behind_breakers(connection: Connection, page: int) -> list[Behind]:
    """Return jobs whose time has come and that a breaker guards, the longest due first.

    Args:
        connection: Where to read.
        page: The most to return.
    """
    return [Behind(*row) for row in connection.execute(_BEHIND, {"page": page})]


def put_off(connection: Connection, delays: Sequence[Delay]) -> list[str]:
    """Have jobs run later, unless they were claimed or ended meanwhile, and return the ids of those that do.

    Args:
        connection: A connection in a transaction.
        delays: Which jobs, and by how much.
    """
    moved = []
    for delay in delays:
        values = {"of_job": delay.job_id, "of_task": delay.task, "in_seconds": delay.seconds}
        if connection.execute(_PUT_OFF, {**values, "why": storable(delay.why, MAX_ERROR)}).rowcount:
            moved.append(delay.job_id)
    return moved
