"""Taking jobs: one statement picks the first jobs of a lane that may run now, and gives each to one worker alone.

A worker chooses; nobody hands it anything. What waits has a ``run_at``, which is its place in line too: a job whose time
has come is claimed as it stands, and one that is given back keeps its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW, SKIP_LOCKED
from perdure.ledger.faults import breaks_a_constraint
from perdure.ledger.running.claims import CLAIM_COLUMNS
from perdure.model.lanes import PLAIN, REPLICAS
from perdure.model.records import Claim
from perdure.model.states import JobState, Transition, sources, target
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_ENDED = ", ".join(f"'{state}'" for state in WorkerState.ended())
_SOURCES = ", ".join(f"'{state}'" for state in sources(Transition.CLAIM))
_RETURNED = ", ".join(CLAIM_COLUMNS)

#: Another replica of the same job has, or had, this worker.
_SIBLING_WAS_HERE = {
    dialect: f"EXISTS (SELECT 1 FROM {HOT[dialect]} o "
    "WHERE o.replica_of = w.replica_of AND o.id <> w.id AND o.worker_name = :by_name)"
    for dialect in DIALECTS
}


#: From the most urgent one on.
PRIORITIES = range(10)


def _of_level(
    dialect: str, priority: str, since: str, lane: str = ":lane", most: str = ":most", *, replicas: bool = True
) -> str:
    """Return the query of the first jobs of a lane at one priority."""
    # Not by the index of tasks: one that is new looks rare, and all of its jobs that have ended would be read.
    is_known = "w.task || '' = ANY(CAST(:known AS text[]))"
    if dialect == "sqlite":
        is_known = "w.task || '' IN (SELECT value FROM json_each(:known))"
    return f"""
        SELECT w.id FROM {HOT[dialect]} w
        WHERE w.bulkhead = :bulkhead AND w.lane = {lane} AND w.priority = {priority}
            AND w.run_at >= {since} AND w.run_at <= {NOW[dialect]} AND {is_known}
            AND (w.deadline IS NULL OR w.deadline > {NOW[dialect]})
            {f"AND (w.replica_of IS NULL OR NOT {_SIBLING_WAS_HERE[dialect]})" if replicas else ""}
        ORDER BY w.run_at LIMIT {most} {SKIP_LOCKED[dialect]}
    """


# Priority by priority, each by the index: to order a lane by priority first would read all of it, and jobs whose time has
# not come would be in the way of others.
_BY_LEVEL = " UNION ALL ".join(f"SELECT id FROM ({_of_level('sqlite', str(n), f':since{n}')})" for n in PRIORITIES)


def _of_lane(lane: str, most: str, *, replicas: bool) -> str:
    """Return PostgreSQL's query of the first jobs of a lane."""
    levels = ", ".join(f"({number}, CAST(:since{number} AS float8))" for number in PRIORITIES)
    of_level = _of_level("postgresql", "level.n", "level.since", lane, most, replicas=replicas)
    return f"SELECT v.id FROM (VALUES {levels}) AS level(n, since) CROSS JOIN LATERAL ({of_level}) AS v LIMIT {most}"


_LANES = "json_to_recordset(CAST(:lanes AS json)) AS l(lane text, most int)"
_OF_LANES = f"SELECT w.id FROM {_LANES} CROSS JOIN LATERAL ({_of_lane('l.lane', 'l.most', replicas=True)}) AS w LIMIT :most"


def _claim(dialect: str, those: str) -> str:
    """Return the statement that claims those jobs, a condition of their ids."""
    moment = NOW[dialect]
    return f"""
        UPDATE {HOT[dialect]} SET
            state = '{target(Transition.CLAIM)}', fence = fence + 1, attempt = attempt + 1,
            worker_id = :by_id, worker_name = :by_name, worker_pid = :by_pid,
            queued_at = run_at, run_at = NULL, unknown_since = NULL,
            started_at = {moment}, first_started_at = coalesce(first_started_at, {moment})
        WHERE id {those} AND state || '' IN ({_SOURCES})
            AND NOT EXISTS (SELECT 1 FROM perdure_bulkheads b WHERE b.name = :bulkhead AND b.paused)
            AND NOT EXISTS (SELECT 1 FROM perdure_workers o WHERE o.id = :by_id AND o.state IN ({_ENDED}))
        RETURNING {_RETURNED}
        """


#: PostgreSQL's statement for a single lane, none of replicas: shorter to plan, and to run.
OF_ONE_LANE = _claim("postgresql", f"= ANY(ARRAY({_of_lane(':lane', ':most', replicas=False)}))")
_SINGLE = "postgresql, a lane"
# PostgreSQL picks into an array, once for the statement: a list it might make anew for each row, and lock others.
_CLAIM = {
    "sqlite": _claim("sqlite", f"IN (SELECT id FROM ({_BY_LEVEL}) AS w LIMIT :most)"),
    "postgresql": _claim("postgresql", f"= ANY(ARRAY({_OF_LANES}))"),
    _SINGLE: OF_ONE_LANE,
}
#: What names a worker's child as its runner, each with its lane.
_HELD = {
    dialect: f"SELECT {_RETURNED}, lane FROM {HOT[dialect]} "
    f"WHERE state = '{JobState.RUNNING}' AND worker_id = :of_worker AND worker_pid = :of_pid"
    for dialect in DIALECTS
}


class Claimer(msgspec.Struct, frozen=True):
    """Who claims: a child of a worker, for a bulkhead.

    Attributes:
        bulkhead: What it serves.
        worker_id: The worker's incarnation.
        worker_name: The worker's name, for people.
        pid: The child's process id.
        tasks: The tasks that it knows; jobs of others are left to others.
    """

    bulkhead: str
    worker_id: str
    worker_name: str
    pid: int
    tasks: Sequence[str]


#: By priority, the place in line at which to begin.
Since = Mapping[int, float]
NO_MARKS: Since = {}
#: Seconds after its place in line until a job that was submitted can be seen; it may be longer, which costs it a while.
SLACK = 0.25


def claim(connection: Where, by: Claimer, most: int, lane: str = PLAIN, since: Since = NO_MARKS) -> list[Claim]:
    """Claim the first jobs of a lane that may run now and return them in order.

    There is nothing to claim while the bulkhead is paused or when the worker has lost its lease. A job past its deadline
    is left to a supervisor, which makes a dead letter of it.

    Args:
        connection: Where to do it; may commit by itself.
        by: Who claims.
        most: How many at most.
        lane: Where they wait.
        since: For priorities, a moment: jobs whose place in line is before it are passed over. Epoch seconds.
    """
    return claim_from(connection, by, {lane: most}, since)


def claim_from(connection: Where, by: Claimer, wanted: Mapping[str, int], since: Since = NO_MARKS) -> list[Claim]:
    """Claim so many jobs of each of these lanes; see :func:`claim`. One statement on PostgreSQL."""
    try:
        rows = _rows_of(connection, by, wanted, since)
    except Exception as error:
        if REPLICAS not in wanted or not breaks_a_constraint(error):
            raise
        return []  # a sibling was claimed for this worker at the same moment
    return in_order(rows)


def in_order(rows: Iterable[Sequence[Any]]) -> list[Claim]:
    """Return the claims that rows of the ledger are, in line."""
    return sorted((Claim(*row) for row in rows), key=in_line)


def _rows_of(connection: Where, by: Claimer, wanted: Mapping[str, int], since: Since) -> Sequence[Any]:
    if connection.dialect.name == "sqlite":
        values = {**_common(by, since), "known": msgspec.json.encode(by.tasks).decode()}
        return [
            row
            for lane, most in wanted.items()
            for row in direct.rows(connection, _CLAIM["sqlite"], {**values, "lane": lane, "most": most})
        ]
    if len(wanted) == 1 and REPLICAS not in wanted:
        [(lane, most)] = wanted.items()
        return direct.rows(connection, _CLAIM[_SINGLE], of_one_lane(by, lane, most, since))
    lanes = msgspec.json.encode([{"lane": lane, "most": most} for lane, most in wanted.items()]).decode()
    values = {**_common(by, since), "known": list(by.tasks), "lanes": lanes, "most": sum(wanted.values())}
    return direct.rows(connection, _CLAIM["postgresql"], values)


def of_one_lane(by: Claimer, lane: str, most: int, since: Since) -> dict[str, Any]:
    """Return the parameters of :data:`OF_ONE_LANE`."""
    return {**_common(by, since), "known": list(by.tasks), "lane": lane, "most": most}


def _common(by: Claimer, since: Since) -> dict[str, Any]:
    return {
        "bulkhead": by.bulkhead,
        "by_id": by.worker_id,
        "by_name": by.worker_name,
        "by_pid": by.pid,
        **{f"since{priority}": since.get(priority, 0.0) for priority in PRIORITIES},
    }


def in_line(claim: Claim) -> tuple[int, float, str]:
    """Return a claim's place in line: by priority, then by the time from which it could run."""
    return claim.priority, claim.queued_at, claim.job_id


def held(connection: Where, by: Claimer, lanes: Collection[str] | None = None) -> list[Claim]:
    """Return what names a child as its runner: claims whose commit was in doubt.

    Args:
        connection: Where to read.
        by: The child.
        lanes: Only claims from these lanes, of which the child holds no others; None for all, for one that holds none.
    """
    rows = direct.rows(connection, _HELD[connection.dialect.name], {"of_worker": by.worker_id, "of_pid": by.pid})
    return in_order(row for *row, lane in rows if lanes is None or lane in lanes)
