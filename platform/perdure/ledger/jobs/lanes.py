"""Lanes that something holds back: which there are, what of them may run now, and how many jobs of a limit do.

However many jobs wait, a look is bounded: it goes from lane to lane by an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.ledger.jobs.claim import PRIORITIES, Claimer, claim_from
from perdure.model.lanes import PLAIN
from perdure.model.records import Claim
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Lanes that one look goes through, at most, beside the plain one.
LANES = 64
#: Seconds: as far back as there are jobs.
ALL = 1e12

#: A bulkhead, a task and a key.
Place = tuple[str, str, str]


class Lane(Struct, frozen=True):
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


def _soonest(dialect: str, what: str, lane: str, run_at: str) -> str:
    """Return the query of a lane's job whose time comes first at any priority."""

    def at(priority: object) -> str:
        return f"""
            SELECT {what} AS it, run_at AS place FROM {HOT[dialect]}
            WHERE bulkhead = :bulkhead AND lane = {lane} AND priority = {priority} AND run_at {run_at}
            ORDER BY run_at LIMIT 1
        """

    if dialect == "postgresql":  # one query for all priorities, since to plan one for each takes longer than to run it
        firsts = f"generate_series(0, {len(PRIORITIES) - 1}) AS level(n) CROSS JOIN LATERAL ({at('level.n')}) AS first"
    else:
        firsts = f"({' UNION ALL '.join(f'SELECT * FROM ({at(number)})' for number in PRIORITIES)})"
    return f"SELECT it FROM {firsts} ORDER BY place LIMIT 1"


def _first_of_step(dialect: str, columns: str) -> str:
    return f"""
        SELECT {columns} FROM {HOT[dialect]} f
        WHERE f.bulkhead = :bulkhead AND f.lane = step.lane || '' AND f.run_at IS NOT NULL
        ORDER BY f.priority, f.run_at LIMIT 1
    """


#: A lane's most urgent job, as ``j``. PostgreSQL without statistics would read all jobs to join them by their ids.
_FIRST_OF_STEP = {
    "postgresql": f"CROSS JOIN LATERAL ({_first_of_step('postgresql', 'f.task, f.breaker, f.limit_key, f.run_at')}) AS j",
    "sqlite": f"JOIN perdure_jobs j ON j.id = ({_first_of_step('sqlite', 'f.id')})",
}


def _lanes(dialect: str) -> str:
    # Jumps from lane to lane, so that it reads a row for each lane and not for each job (a loose index scan:
    # https://wiki.postgresql.org/wiki/Loose_indexscan). Expressions on the right, because SQLite does not compare with
    # columns by the index: they might want another affinity. A lane's first row is its most urgent; only when its time
    # has not come are the other priorities looked at. The plain lane is read from a moment on, because what was claimed
    # there lies before, and may be there for long; see "A transaction that somebody holds open" in docs/architecture.md.
    moment, first_lane = NOW[dialect], "(CASE WHEN CAST(:after AS text) = '' THEN CAST(:plain AS text) ELSE :after END)"
    since = f">= {moment} - CAST(:back AS float8)" if dialect == "postgresql" else f">= {moment} - :back"
    return f"""
    WITH RECURSIVE step(lane, number) AS (
        SELECT (
            SELECT lane FROM {HOT[dialect]} WHERE bulkhead = :bulkhead AND lane > {first_lane} AND run_at IS NOT NULL
            ORDER BY lane LIMIT 1
        ), 1
        UNION ALL
        SELECT (
            SELECT j.lane FROM {HOT[dialect]} j
            WHERE j.bulkhead = :bulkhead AND j.lane > step.lane || '' AND j.run_at IS NOT NULL
            ORDER BY j.lane LIMIT 1
        ), number + 1
        FROM step WHERE step.lane IS NOT NULL AND number < :most
    )
    SELECT lane, task, breaker, limit_key, run_at, {moment} FROM (
        SELECT 0 AS number, j.lane, j.task, j.breaker, j.limit_key, j.run_at FROM {HOT[dialect]} j
        WHERE CAST(:after AS text) = '' AND j.id = ({_soonest(dialect, "id", ":plain", since)})
        UNION ALL
        SELECT step.number, step.lane, j.task, j.breaker, j.limit_key, CASE
            WHEN j.run_at <= {moment} THEN j.run_at
            ELSE ({_soonest(dialect, "run_at", "step.lane || ''", "IS NOT NULL")})
        END
        FROM step {_FIRST_OF_STEP[dialect]}
    ) AS found
    ORDER BY number
    """


_LANES = {dialect: _lanes(dialect) for dialect in DIALECTS}

_RUNNING = {
    # Twice: an expression, or SQLite without statistics takes an index of states; and what an index is partial on.
    dialect: f"SELECT bulkhead, task, limit_key, count(*) FROM {HOT[dialect]} "
    f"WHERE state || '' = '{JobState.RUNNING}' AND state = '{JobState.RUNNING}' AND limit_key IS NOT NULL "
    "GROUP BY bulkhead, task, limit_key"
    for dialect in DIALECTS
}

#: Takes the turn at a bulkhead's limits until the transaction ends: waits for it, or says whether it is free.
_WAIT_FOR_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"
_TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"


def lanes(connection: Where, bulkhead: str, after: str = "", back: float = ALL) -> list[Lane]:
    """Return the lanes of a bulkhead in which jobs wait: the plain one, and :data:`LANES` others by name at most.

    Args:
        connection: Where to read.
        bulkhead: The bulkhead.
        after: Lanes up to this one are left out, in the database's order of names.
        back: Seconds; jobs of the plain lane whose place in line is older are passed over.
    """
    values = {"bulkhead": bulkhead, "after": after, "most": LANES, "plain": PLAIN, "back": back}
    return [Lane(*row) for row in direct.rows(connection, _LANES[connection.dialect.name], values)]


def running(connection: Where) -> dict[Place, int]:
    """Return how many jobs run of those that a limit bounds, by bulkhead, task and key."""
    return {(row[0], row[1], row[2]): row[3] for row in direct.rows(connection, _RUNNING[connection.dialect.name], {})}


def claim_within(
    connection: Where,
    by: Claimer,
    wanted: Sequence[Lane],
    admitted: Admitted,
    *,
    waits: bool = True,
) -> list[Claim] | None:
    """Claim jobs of lanes that a limit bounds, as far as it allows given what runs at this moment.

    One claimer of a bulkhead at a time, on PostgreSQL by a lock: what another one has claimed since ``wanted`` was worked
    out counts.

    Args:
        connection: A connection in a transaction.
        by: Who claims.
        wanted: The lanes.
        admitted: Says how many jobs of each lane may be claimed, given what runs.
        waits: Whether to wait while another claimer has the turn.

    Returns:
        The claims; None when another claimer has the turn.
    """
    if not _has_turn(connection, by.bulkhead, waits=waits):
        return None
    room = admitted(wanted, running(connection))
    chosen = {lane.name: room[lane.name] for lane in wanted if room.get(lane.name)}
    return claim_from(connection, by, chosen) if chosen else []


def _has_turn(connection: Where, bulkhead: str, *, waits: bool) -> bool:
    if connection.dialect.name != "postgresql":
        return True  # SQLite has one writer
    name = {"name": f"perdure:limits:{bulkhead}"}
    [(has,)] = direct.rows(connection, _WAIT_FOR_TURN if waits else _TAKE_TURN, name)
    return has is not False
