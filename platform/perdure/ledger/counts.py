"""What was counted, for metrics: how jobs and attempts ended, and what processes have measured.

A settlement appends what it counts to a table in its own transaction, one or a few rows for each slice: so the counts are
exact whatever is killed, and workers, who never update a row of each other, do not wait for each other. A supervisor adds
the rows up every few seconds: to the totals of all time, and to those of their minute; see :mod:`perdure.ledger.minutes`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import batch, direct, facts, minutes
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, HOT, NOW
from perdure.model import metrics
from perdure.model.metrics import ENDED, SECONDS, Count
from perdure.model.records import Claim, Settlement
from perdure.model.states import FINAL_STATES, TRANSITIONS, JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: The counts of one thing that is counted as several metrics: of this many jobs.
Kind = tuple[str, str, str, str, str, int | None, int]

#: A claim and how it ended.
Ending = tuple[Claim, Settlement]
_CANCELLED = JobState.CANCELLED.value

#: Rows from so many seconds before the last fold on are read. They are deleted soon, and where an old transaction keeps
#: dead rows from being vacuumed it matters to pass by those; what came later than that is found by the next full look.
LATE = 120.0
_FOLDED = "counts_folded"


def _as_cancelled(kind: Kind) -> Kind:
    """Return the kind of a job that was to wait and that somebody had cancelled meanwhile."""
    return *kind[:3], _CANCELLED, *kind[4:]


def counted(kind: Kind, count: int, ran: float, waited: float) -> list[Count]:
    """Return the counts of so many jobs of a kind, with the seconds that they ran and waited together.

    Of one that is given back, not begun and not cancelled, nothing is counted.
    """
    task, bulkhead, outcome, state, _, run_place, wait_place = kind
    found = [Count(ENDED, kind[:5], count)] if outcome or state in FINAL_STATES else []
    if outcome:
        found.append(Count(metrics.WAIT.name, (task, bulkhead), count, waited, wait_place))
        if run_place is not None:
            found.append(Count(metrics.RUN.name, (task, bulkhead), count, ran, run_place))
    return found


def died(task: str, bulkhead: str, reason: str, count: int = 1) -> Count:
    """Return the count of jobs that became dead letters without being run."""
    return Count(ENDED, (task, bulkhead, "", JobState.DEAD.value, reason), count)


def cancelled(task: str, bulkhead: str) -> Count:
    """Return the count of a job that was cancelled before it ran."""
    return Count(ENDED, (task, bulkhead, "", JobState.CANCELLED.value, ""), 1)


def quarantined(bulkhead: str, reason: str) -> Count:
    """Return the count of a message that was no job; whoever sent it chose the task, so that is no label."""
    return Count(ENDED, ("", bulkhead, "", "", reason), 1)


def add(connection: Where, some: Iterable[Count]) -> None:
    """Append counts, in the caller's transaction."""
    rows = [
        {"name": one.name, "labels": encoded(one.labels), "place": one.place, "count": one.count, "sum": one.sum}
        for one in some
    ]
    if rows:
        direct.run(connection, _APPEND[connection.dialect.name], batch.encoded(rows))


_COLUMNS = {"name": "text", "labels": "text", "place": "int", "count": "bigint", "sum": "float8"}
_APPEND = {
    dialect: f"INSERT INTO perdure_counts (at, {', '.join(_COLUMNS)}) "
    f"SELECT {NOW[dialect]}, {', '.join(f's.{name}' for name in _COLUMNS)} FROM {batch.rows_of(dialect, _COLUMNS)}"
    for dialect in DIALECTS
}


@lru_cache(maxsize=1024)
def encoded(labels: tuple[str, ...]) -> str:
    """Return labels as they are stored."""
    return msgspec.json.encode(labels).decode()


#: For the statement that settles on PostgreSQL: appends the counts of those rows of ``settled`` that were written. Sums are
#: those of all rows of a kind; where some were not written, they count for their part.
APPEND_SETTLED = f"""
    INSERT INTO perdure_counts (at, name, labels, place, count, sum)
    SELECT {NOW["postgresql"]}, c.name, c.labels, c.place, g.written, c.sum * g.written / c.count
    FROM (
        SELECT kind, now_state = '{JobState.CANCELLED}' AS cancelled, count(*) AS written
        FROM settled GROUP BY kind, cancelled
    ) AS g
    JOIN json_to_recordset(CAST(:kinds AS json))
        AS c(kind int, cancelled bool, name text, labels text, place int, count int, sum float8)
        ON c.kind = g.kind AND c.cancelled = g.cancelled
"""


class _Sums(msgspec.Struct):
    """How many jobs there are of a kind, and how many seconds they ran and waited."""

    number: int
    jobs: int = 0
    ran: float = 0.0
    waited: float = 0.0


def _kinds(endings: Iterable[Ending]) -> tuple[dict[Kind, _Sums], list[int]]:
    """Return the kinds of endings, and the number of each ending's kind. What it does for each is all that a job pays."""
    found: dict[Kind, _Sums] = {}
    numbers = []
    for claim, settlement in endings:
        waited, ran, death = claim.started_at - claim.queued_at, settlement.ran, settlement.death
        kind = (
            claim.task,
            claim.bulkhead,
            settlement.outcome or "",
            TRANSITIONS[settlement.transition][1],
            "" if death is None else death.reason,
            None if ran is None else bisect_left(SECONDS, ran),
            bisect_left(SECONDS, waited),
        )
        sums = found.get(kind)
        if sums is None:
            sums = found[kind] = _Sums(len(found))
        sums.jobs += 1
        sums.ran += ran or 0.0
        sums.waited += waited
        numbers.append(sums.number)
    return found, numbers


def numbered(endings: Sequence[Ending], rows: Sequence[dict[str, Any]]) -> str:
    """Say in the rows of a settlement of which kind they are, and return the kinds as :data:`APPEND_SETTLED` reads them."""
    kinds, numbers = _kinds(endings)
    for row, number in zip(rows, numbers, strict=True):
        row["kind"] = number
    return msgspec.json.encode([row for kind, sums in kinds.items() for row in _rows_of(kind, sums)]).decode()


def _rows_of(kind: Kind, sums: _Sums) -> Iterator[dict[str, Any]]:
    may_be_cancelled = kind[3] not in FINAL_STATES
    variants = ((False, kind), (True, _as_cancelled(kind))) if may_be_cancelled else ((kind[3] == _CANCELLED, kind),)
    for cancelled, variant in variants:
        for one in counted(variant, sums.jobs, sums.ran, sums.waited):
            of = {"kind": sums.number, "cancelled": cancelled, "count": one.count, "sum": one.sum}
            yield {**of, "name": one.name, "labels": encoded(one.labels), "place": one.place}


def of_settled(endings: Iterable[Ending], states: Mapping[str, str]) -> list[Count]:
    """Return the counts of what was settled, as :data:`APPEND_SETTLED` does.

    Args:
        endings: Claims and how they ended.
        states: The states that the jobs have now whose settlement was written.
    """
    as_said: list[Ending] = []
    cancelled: list[Ending] = []
    for ending in endings:
        if (state := states.get(ending[0].job_id)) is not None:
            (cancelled if state == _CANCELLED else as_said).append(ending)
    found = [*_kinds(as_said)[0].items(), *((_as_cancelled(kind), sums) for kind, sums in _kinds(cancelled)[0].items())]
    return [one for kind, sums in found for one in counted(kind, sums.jobs, sums.ran, sums.waited)]


_TO_TOTALS = "INSERT INTO perdure_count_totals AS t (name, labels, place, count, sum)"
_ADDED = "ON CONFLICT (name, labels, place) DO UPDATE SET count = t.count + excluded.count, sum = t.sum + excluded.sum"


def _by_series(source: str, where: str) -> str:
    # In one order, so that two who write totals never wait for each other in a circle.
    columns = "name, labels, place"
    return f"SELECT {columns}, sum(count), sum(sum) FROM {source} WHERE {where} GROUP BY {columns} ORDER BY {columns}"


_APPENDED = "perdure_counts WHERE at >= :since"
_FOLD = {
    "sqlite": [
        f"{_TO_TOTALS} {_by_series('perdure_counts', 'at >= :since')} {_ADDED}",
        minutes.add_from("sqlite", "perdure_counts", "at >= :since"),
        f"DELETE FROM {_APPENDED}",
    ],
    "postgresql": [
        f"WITH gone AS (DELETE FROM {_APPENDED} RETURNING at, name, labels, place, count, sum), "
        f"whole AS ({_TO_TOTALS} {_by_series('gone', 'true')} {_ADDED}) "
        f"{minutes.add_from('postgresql', 'gone')}"
    ],
}
_FOLDED_AT = {
    dialect: f"SELECT updated_at, {NOW[dialect]} FROM perdure_facts WHERE name = '{_FOLDED}' {lock}"
    for dialect, lock in FOR_UPDATE.items()
}
_BEGIN = f"INSERT INTO perdure_facts (name, value, updated_at) VALUES ('{_FOLDED}', '', 0) ON CONFLICT DO NOTHING"

_SINCE = f"coalesce((SELECT updated_at FROM perdure_facts WHERE name = '{_FOLDED}'), 0) - {LATE:g}"
_ANY = f"SELECT 1 FROM perdure_counts WHERE at >= {_SINCE} LIMIT 1"


def is_to_fold(connection: Where) -> bool:
    """Return whether there is anything to add up, but for what came very late."""
    return bool(direct.rows(connection, _ANY, {}))


def fold(connection: Where, *, enough: float, full: bool = False) -> bool:
    """Add up what was appended, and return whether it was done.

    Args:
        connection: A connection in a transaction.
        enough: Seconds for which somebody else's work is new enough, so that nothing is done.
        full: Whether to look for rows of transactions that came very late as well.
    """
    [(folded_at, now)] = direct.rows(connection, _FOLDED_AT[connection.dialect.name], {}) or _first(connection)
    if now - folded_at < enough:
        return False
    since = 0.0 if full else folded_at - LATE
    for statement in _FOLD[connection.dialect.name]:
        direct.run(connection, statement, {"since": since})
    facts.note(connection, _FOLDED)
    return True


def _first(connection: Where) -> Sequence[Any]:
    """Return the locked row of the last fold where there was none yet: of two who fold at once one waits for the other."""
    direct.run(connection, _BEGIN, {})
    return direct.rows(connection, _FOLDED_AT[connection.dialect.name], {})


def _read(dialect: str) -> str:
    moment = NOW[dialect]
    of_jobs = f"FROM {HOT[dialect]} WHERE"
    waits, runs = f"{of_jobs} run_at IS NOT NULL", f"{of_jobs} state = 'running'"
    # Expressions in place of columns: SQLite would read all jobs by the columns' index to have them grouped already.
    bulkhead, task = "bulkhead || ''", "task || ''"
    return f"""
        SELECT name, labels, '' AS task, place, sum(count), sum(sum) FROM (
            SELECT name, labels, place, count, sum FROM perdure_count_totals
            UNION ALL SELECT name, labels, place, count, sum FROM perdure_counts WHERE at >= {_SINCE}
        ) AS c GROUP BY name, labels, place
        UNION ALL SELECT 'queued', {bulkhead}, '', 0, count(*), {moment} - min(run_at) {waits} AND run_at <= {moment}
        GROUP BY {bulkhead}
        UNION ALL SELECT 'waiting', {bulkhead}, '', 0, count(*), 0 {waits} AND run_at > {moment} GROUP BY {bulkhead}
        UNION ALL SELECT 'running', {bulkhead}, {task}, 0, count(*), 0 {runs} GROUP BY {bulkhead}, {task}
        """


_READ = {dialect: _read(dialect) for dialect in DIALECTS}


class Reading(msgspec.Struct, frozen=True):
    """What was counted, and what waits and runs, at one moment.

    Attributes:
        counts: Counts of processes' own, and histograms.
        ended: Ends of jobs and attempts, by what is counted of them; see :data:`ENDED`.
        queued: By bulkhead, how many jobs may run now, and how many seconds the oldest has waited.
        waiting: By bulkhead, how many wait for their time.
        running: By task and bulkhead, how many run.
    """

    counts: list[Count]
    ended: dict[tuple[str, ...], int]
    queued: dict[str, tuple[int, float]]
    waiting: dict[str, int]
    running: dict[tuple[str, str], int]


def read(connection: Where) -> Reading:
    """Return what was counted, and what waits and runs, by one statement: at one moment, so that sums are right."""
    found = Reading([], {}, {}, {}, {})
    for name, of, task, place, many, seconds in direct.rows(connection, _READ[connection.dialect.name], {}):
        count, total = int(many), float(seconds)
        if name == "queued":
            found.queued[of] = count, max(0.0, total)
        elif name == "waiting":
            found.waiting[of] = count
        elif name == "running":
            found.running[task, of] = count
        else:
            labels = tuple(msgspec.json.decode(of, type=list[str]))
            if name == ENDED:
                found.ended[labels] = count
            else:
                found.counts.append(Count(name, labels, count, total, place))
    return found
