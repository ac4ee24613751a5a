"""Lanes that something holds back: which there are, what of them may run now, and how many jobs of a limit do.

However many jobs wait, a look is bounded: it goes from lane to lane by an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from perdure.ledger.conditions import DIALECTS, state_is
from perdure.ledger.jobs.claim import Claimer, claim_from
from perdure.ledger.now import NOW
from perdure.ledger.schema import jobs
from perdure.model.records import Claim
from perdure.model.states import JobState

#: Lanes that one look goes through, at most.
LANES = 200

#: A bulkhead, a task and a key.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane in which jobs wait, with what its first job says of it.

    Attributes:
        name: The lane.
        task: The job's task.
        breaker: The circuit breaker that guards it, if any.
        limit_key: The key of a limit for which it counts; None for a lane without limits.
        next_at: The moment from which the first of its jobs may run, epoch seconds.
        now: The ledger's clock, epoch seconds.
    """

    name: str
    task: str
    breaker: str | None
    limit_key: str | None
    next_at: float
    now: float

    @property
    def waits(self) -> float:
        """Seconds until its first job may run; 0 when it may now."""
        return max(0.0, self.next_at - self.now)


#: Says how many jobs of each lane may be claimed, given what runs.
Admitted = Callable[[Sequence[Lane], Mapping[Place, int]], Mapping[str, int]]


def _first(what: str) -> str:
    """Return the query of a lane's first job: the one whose time comes first at any priority."""
    levels = " UNION ALL ".join(
        f"""SELECT {what}, run_at FROM (
            SELECT {what}, run_at FROM perdure_jobs
            WHERE bulkhead = :bulkhead AND lane = step.lane || '' AND priority = {priority} AND run_at IS NOT NULL
            ORDER BY run_at LIMIT 1
        ) AS level{priority}"""
        for priority in range(10)
    )
    return f"SELECT {what} FROM ({levels}) AS level ORDER BY run_at LIMIT 1"


def _lanes(dialect: str) -> Any:
    # Jumps from lane to lane, so that it reads a row for each lane and not for each job (a loose index scan:
    # https://wiki.postgresql.org/wiki/Loose_indexscan). Expressions on the right, because SQLite does not compare with
    # columns by the index: they might want another affinity.
    return text(
        f"""
        WITH RECURSIVE step(lane, number) AS (
            SELECT (
                SELECT lane FROM perdure_jobs WHERE bulkhead = :bulkhead AND lane > :after AND run_at IS NOT NULL
                ORDER BY lane LIMIT 1
            ), 1
            UNION ALL
            SELECT (
                SELECT j.lane FROM perdure_jobs j
                WHERE j.bulkhead = :bulkhead AND j.lane > step.lane || '' AND j.run_at IS NOT NULL
                ORDER BY j.lane LIMIT 1
            ), number + 1
            FROM step WHERE step.lane IS NOT NULL AND number < :most
        )
        SELECT step.lane, j.task, j.breaker, j.limit_key, j.run_at, {NOW[dialect]}
        FROM step JOIN perdure_jobs j ON j.id = ({_first("id")})
        ORDER BY step.number
        """
    )


_LANES = {dialect: _lanes(dialect) for dialect in DIALECTS}

_PLACE = (jobs.c.bulkhead, jobs.c.task, jobs.c.limit_key)
_RUNNING = (
    select(*_PLACE, func.count())
    .where(state_is(JobState.RUNNING, by_index=False), state_is(JobState.RUNNING), jobs.c.limit_key.is_not(None))
    .group_by(*_PLACE)
)


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def lanes(connection: Connection, bulkhead: str, after: str = "") -> list[Lane]:
    """Return the lanes of a bulkhead in which jobs wait, in the database's order of their names; :data:`LANES` at most.

    Args:
        connection: Where to read.
        bulkhead: The bulkhead.
        after: Lanes whose names are up to this one are left out.
    """
    values = {"bulkhead": bulkhead, "after": after, "most": LANES}
    return [Lane(*row) for row in connection.execute(_LANES[connection.dialect.name], values)]


def running(connection: Connection) -> dict[Place, int]:
    """Return how many jobs run of those that a limit bounds, by bulkhead, task and key."""
    return {(row[0], row[1], row[2]): row[3] for row in connection.execute(_RUNNING)}


def claim_within(
    connection: Connection,
    by: Claimer,
    wanted: Sequence[Lane],
    admitted: Admitted,
) -> list[Claim]:
    """Claim jobs of lanes that a limit bounds, as far as it allows given what runs at this moment.

    One claimer of a bulkhead at a time, on PostgreSQL by a lock: what another one has claimed since ``wanted`` was worked
    out counts.

    Args:
        connection: A connection in a transaction.
        by: Who claims.
        wanted: The lanes.
        admitted: Says how many jobs of each lane may be claimed, given what runs.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"name": f"perdure:limits:{by.bulkhead}"})
    room = admitted(wanted, running(connection))
    chosen = {lane.name: room[lane.name] for lane in wanted if room.get(lane.name)}
    return claim_from(connection, by, chosen) if chosen else []
