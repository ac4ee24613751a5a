"""Jobs that a limit bounds: they wait in the ledger without a ticket until the dispatcher finds room for them.

However many wait, a look at them is bounded: it goes from key to key by an index, counts no further than a page within
each, and goes on at the next key the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, exists, func, select, text, update

from perdure.ledger.conditions import locked_page, state_is
from perdure.ledger.now import now
from perdure.ledger.records import Ticketed
from perdure.ledger.schema import bulkheads, jobs
from perdure.states import JobState

#: Keys that one look goes through, at most.
KEYS = 200
#: Jobs of one key that one look counts, at most.
PAGE = 200

#: A bulkhead, a task and a key.
Place = tuple[str, str, str]

_TICKET_COLUMNS = tuple(jobs.c[name] for name in Ticketed.__slots__)
_PAUSED = exists(select(bulkheads.c.name).where(bulkheads.c.name == jobs.c.bulkhead, bulkheads.c.paused))
_PLACE = (jobs.c.bulkhead, jobs.c.task, jobs.c.limit_key)

#: As the partial indexes say it.
_LIMITED = jobs.c.limit_key.is_not(None)
_WAITS = (state_is(JobState.QUEUED), jobs.c.ticketed_at.is_(None), _LIMITED)
_HAS_ROOM = (state_is(JobState.QUEUED), jobs.c.ticketed_at.is_not(None), _LIMITED)
_RUNS = (state_is(JobState.RUNNING), _LIMITED)


@dataclass(frozen=True, slots=True)
class LimitCount:
    """The jobs of one key of a task in a bulkhead: those that wait for room, and those that take it up."""

    bulkhead: str
    task: str
    key: str
    waiting: int
    active: int


_ANY = select(jobs.c.id).where(*_WAITS, ~_PAUSED).limit(1)
_ACTIVE = [select(*_PLACE, func.count()).where(*which).group_by(*_PLACE) for which in (_HAS_ROOM, _RUNS)]

#: Jumps from the first job of one key to the first of the next, so that it reads a row for each key and not for each job
#: (a loose index scan: https://wiki.postgresql.org/wiki/Loose_indexscan). Expressions on the right, because SQLite does not
#: compare with columns by the index: they might want another affinity.
_WAITING = text(
    """
    WITH RECURSIVE step(id, number) AS (
        SELECT (
            SELECT j.id FROM jobs j
            WHERE j.state = 'queued' AND j.ticketed_at IS NULL AND j.limit_key IS NOT NULL
                AND (j.bulkhead, j.task, j.limit_key) > (:bulkhead, :task, :key)
            ORDER BY j.bulkhead, j.task, j.limit_key LIMIT 1
        ), 1
        UNION ALL
        SELECT (
            SELECT j.id FROM jobs j
            WHERE j.state = 'queued' AND j.ticketed_at IS NULL AND j.limit_key IS NOT NULL
                AND (j.bulkhead, j.task, j.limit_key) > (p.bulkhead || '', p.task || '', p.limit_key || '')
            ORDER BY j.bulkhead, j.task, j.limit_key LIMIT 1
        ), step.number + 1
        FROM step JOIN jobs p ON p.id = step.id WHERE step.number < :most
    )
    SELECT p.bulkhead, p.task, p.limit_key, (
        SELECT count(*) FROM (
            SELECT 1 FROM jobs w
            WHERE w.state = 'queued' AND w.ticketed_at IS NULL AND w.limit_key IS NOT NULL
                AND w.bulkhead = p.bulkhead AND w.task = p.task AND w.limit_key = p.limit_key
            LIMIT :page
        ) AS page
    ) FROM step JOIN jobs p ON p.id = step.id
    """
)

_IS_NEXT = (
    *_WAITS,
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


def counts(connection: Connection, after: Place | None = None) -> list[LimitCount]:
    """Return what waits for room and what takes it up, by bulkhead, task and key.

    Args:
        connection: Where to read.
        after: Where the look before has ended: keys behind it come first. All that take up room are counted; of those that
            wait :data:`KEYS` keys, and :data:`PAGE` jobs of each, at most.
    """
    waiting = _waiting(connection, after or ("", "", ""), KEYS)
    if after is not None and len(waiting) < KEYS:
        waiting = _waiting(connection, ("", "", ""), KEYS - len(waiting)) | waiting
    active: dict[Place, int] = {}
    for query in _ACTIVE:
        for *place, number in connection.execute(query):
            where = (str(place[0]), str(place[1]), str(place[2]))
            active[where] = active.get(where, 0) + number
    return [LimitCount(*place, waiting.get(place, 0), active.get(place, 0)) for place in sorted({*waiting, *active})]


def take_all(
    connection: Connection,
    wanted: Mapping[Place, int],
    allowed: Callable[[list[LimitCount]], Mapping[Place, int]],
    after: Place | None,
) -> list[Ticketed]:
    """Mark waiting jobs as ticketed and return them; the caller sends their tickets.

    One dispatcher at a time, on PostgreSQL by a lock: what another one has taken since ``wanted`` was worked out counts.

    Args:
        connection: A connection in a transaction.
        wanted: How many jobs of each key to take, at most.
        allowed: Says how many may be taken, given what is there now.
        after: As for :func:`counts`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('perdure:limits', 0))"))
    now_allowed = allowed(counts(connection, after))
    takes = {place: min(number, now_allowed.get(place, 0)) for place, number in wanted.items()}
    return [job for place, number in takes.items() if number for job in _take(connection, place, number)]


def _take(connection: Connection, place: Place, page: int) -> Iterable[Ticketed]:
    names = dict(zip(("in_bulkhead", "of_task", "of_key"), place, strict=True))
    return [Ticketed(**row._mapping) for row in connection.execute(_TICKET, {**names, "page": page})]


def _waiting(connection: Connection, after: Place, most: int) -> dict[Place, int]:
    names = dict(zip(("bulkhead", "task", "key"), after, strict=True))
    rows = connection.execute(_WAITING, {**names, "most": most, "page": PAGE})
    return {(row[0], row[1], row[2]): row[3] for row in rows}
