"""Finding tickets that the broker lost, without reading the broker's queues.

A queue is served in the order of its tickets. So a queued job whose ticket is older than that of a job of the same
bulkhead and priority which was claimed since has lost its ticket (or a worker that is gone holds it); and when the
broker's queue is empty, every queued job has. A doubled ticket does no harm, so a false alarm costs one message.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, exists, func, null, select, update

from perdure.ledger.conditions import state_is
from perdure.ledger.now import now
from perdure.ledger.records import Ticketed
from perdure.ledger.schema import bulkheads, facts, jobs
from perdure.states import JobState

_TICKET_COLUMNS = tuple(jobs.c[name] for name in Ticketed.__slots__)
_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))


@dataclass(frozen=True, slots=True)
class Level:
    """The queued jobs of one bulkhead and priority.

    Attributes:
        bulkhead: Their bulkhead.
        priority: Their priority.
        oldest: When the oldest ticket among them was sent, epoch seconds; None when one has no ticket.
        served: When the newest ticket among the running jobs was sent, epoch seconds; None when none runs.
        now: The ledger's clock, epoch seconds.
    """

    bulkhead: str
    priority: int
    oldest: float
    served: float | None
    now: float


_SERVED = (
    select(jobs.c.bulkhead, jobs.c.priority, func.max(jobs.c.ticketed_at).label("served"))
    .where(state_is(JobState.RUNNING))
    .group_by(jobs.c.bulkhead, jobs.c.priority)
    .subquery()
)

_LEVELS = (
    select(jobs.c.bulkhead, jobs.c.priority, func.min(jobs.c.ticketed_at).label("oldest"), now().label("now"))
    .where(state_is(JobState.QUEUED), jobs.c.ticketed_at.is_not(None), ~_PAUSED)
    .group_by(jobs.c.bulkhead, jobs.c.priority)
    .subquery()
)

_LEVELS_SERVED = select(_LEVELS, _SERVED.c.served).outerjoin(
    _SERVED, (_SERVED.c.bulkhead == _LEVELS.c.bulkhead) & (_SERVED.c.priority == _LEVELS.c.priority)
)

_IS_LOST = (
    state_is(JobState.QUEUED),
    jobs.c.bulkhead == bindparam("in_bulkhead"),
    jobs.c.priority == bindparam("at_priority"),
    jobs.c.ticketed_at < bindparam("sent_before"),
)
_LOST = select(jobs.c.id).where(*_IS_LOST).order_by(jobs.c.ticketed_at).limit(bindparam("page"))

_RETICKET = (
    update(jobs)
    .where(jobs.c.id.in_(_LOST.with_for_update(skip_locked=True)), *_IS_LOST)
    .values(ticketed_at=now())
    .returning(*_TICKET_COLUMNS)
)

_FORGET = update(jobs).where(state_is(JobState.QUEUED), jobs.c.ticketed_at.is_not(None)).values(ticketed_at=null())


def levels(connection: Connection) -> list[Level]:
    """Return what waits, for each bulkhead and priority that has queued jobs with tickets."""
    return [Level(**row._mapping) for row in connection.execute(_LEVELS_SERVED)]


def reticket(connection: Connection, level: Level, sent_before: float, page: int) -> list[Ticketed]:
    """Mark a level's tickets from before a time as sent again and return them; the caller sends them."""
    names = {"in_bulkhead": level.bulkhead, "at_priority": level.priority}
    rows = connection.execute(_RETICKET, {**names, "sent_before": sent_before, "page": page})
    return [Ticketed(**row._mapping) for row in rows]


def forget_tickets(connection: Connection, bulkhead: str | None = None) -> int:
    """Note that no queued job (of a bulkhead, or at all) has a ticket; return how many there are."""
    statement = _FORGET if bulkhead is None else _FORGET.where(jobs.c.bulkhead == bulkhead)
    return connection.execute(statement).rowcount


def broker_epoch(connection: Connection) -> str | None:
    """Return the broker's epoch as the ledger knows it."""
    return connection.execute(select(facts.c.value).where(facts.c.name == "broker_epoch")).scalar_one_or_none()


def begin_broker_epoch(connection: Connection, old: str | None, new: str) -> bool:
    """Replace the broker's epoch and forget all tickets; return False when somebody else was first."""
    if old is None:
        taken = broker_epoch(connection) is None
        if taken:
            connection.execute(facts.insert().values(name="broker_epoch", value=new, updated_at=now()))
    else:
        of_old = (facts.c.name == "broker_epoch") & (facts.c.value == old)
        taken = connection.execute(update(facts).where(of_old).values(value=new, updated_at=now())).rowcount == 1
    if taken:
        forget_tickets(connection)
    return taken
