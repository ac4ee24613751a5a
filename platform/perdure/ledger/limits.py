"""Jobs that a limit bounds: they wait in the ledger without a ticket until the dispatcher finds room for them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, case, exists, func, or_, select, update

from perdure.ledger.conditions import locked_page, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Ticketed
from perdure.ledger.schema import bulkheads, jobs
from perdure.states import JobState

_TICKET_COLUMNS = tuple(jobs.c[name] for name in Ticketed.__slots__)
_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))

#: As the partial index says it, and no state that another index has as a column: SQLite would take that one.
_LIMITED = and_(jobs.c.limit_key.is_not(None), jobs.c.finished_at.is_(None))
_WAITS = and_(state_is(JobState.QUEUED, by_index=False), jobs.c.ticketed_at.is_(None))
_IS_ACTIVE = or_(
    state_is(JobState.RUNNING, by_index=False),
    and_(state_is(JobState.QUEUED, by_index=False), jobs.c.ticketed_at.is_not(None)),
)


@dataclass(frozen=True, slots=True)
class LimitCount:
    """The jobs of one key of a task in a bulkhead: those that wait for room, and those that take it up."""

    bulkhead: str
    task: str
    key: str
    waiting: int
    active: int


_ANY = select(jobs.c.id).where(_LIMITED, _WAITS, ~_PAUSED).limit(1)
_COUNT = (
    select(
        jobs.c.bulkhead,
        jobs.c.task,
        jobs.c.limit_key,
        func.sum(case((_WAITS, 1), else_=0)),
        func.sum(case((_IS_ACTIVE, 1), else_=0)),
    )
    .where(_LIMITED)
    .group_by(jobs.c.bulkhead, jobs.c.task, jobs.c.limit_key)
)

_IS_NEXT = (
    _LIMITED,
    _WAITS,
    jobs.c.bulkhead == bindparam("in_bulkhead"),
    jobs.c.task == bindparam("of_task"),
    jobs.c.limit_key == bindparam("of_key"),
    ~_PAUSED,
)
_NEXT = select(jobs.c.id).where(*_IS_NEXT).order_by(jobs.c.priority, jobs.c.id).limit(bindparam("page"))
_TICKET = (
    update(jobs).where(jobs.c.id.in_(locked_page(_NEXT)), *_IS_NEXT).values(ticketed_at=now()).returning(*_TICKET_COLUMNS)
)


def any_waiting(connection: Connection) -> bool:
    """Return whether a job waits for room within a limit."""
    return connection.execute(_ANY).first() is not None


def counts(connection: Connection) -> list[LimitCount]:
    """Return the unfinished jobs that limits bound, by bulkhead, task and key."""
    return [LimitCount(*row) for row in connection.execute(_COUNT)]


def take(connection: Connection, bulkhead: str, task: str, key: str, page: int) -> list[Ticketed]:
    """Mark waiting jobs of a key as ticketed and return them, at most ``page``; the caller sends their tickets."""
    names = {"in_bulkhead": bulkhead, "of_task": task, "of_key": key, "page": page}
    return [Ticketed(**row._mapping) for row in connection.execute(_TICKET, names)]
