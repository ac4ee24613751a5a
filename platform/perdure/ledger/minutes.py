"""What was counted, by minute and hour: what alerts, objectives and histories of scores are read from.

What settlements and processes append is added up here as it is to the totals of all time, in the same transaction; see
:func:`perdure.ledger.counts.fold`. So nothing is counted twice or anew, and a rule costs the sum of a few rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, select

from perdure.ledger.conditions import insert_ignoring, inserting
from perdure.ledger.now import now
from perdure.ledger.schema import outcome_counts
from perdure.model.alerts.slo import Count
from perdure.model.metrics import BELLS_MISSED, CHECKPOINT_FAILURES, ENDED, RECOVERY, SERVICE_CALLS
from perdure.model.states import Outcome

#: Widths of the stretches, in seconds: short windows read minutes, long ones hours.
MINUTE, HOUR = 60, 3600
#: Seconds for which each is kept.
_KEPT = {MINUTE: 86_400.0, HOUR: 100 * 86_400.0}
#: Seconds by which the depth of a moment may be older than it.
SLACK = 120.0

#: Series: attempts of a task, checkpoints of a task (bad: not saved or read), attempts in a bulkhead (bad: of those so many
#: jobs were told of by no bell), jobs in a bulkhead that ran again after a crash, calls of a service, jobs that wait in a
#: bulkhead, jobs of an objective.
TASK, CHECKPOINT, BULKHEAD, RECOVERED, SERVICE = "task:", "checkpoint:", "bulkhead:", "recovered:", "service:"
DEPTH, SLO = "depth:", "slo:"

_BAD = (Outcome.FAILED.value, Outcome.CRASHED.value, Outcome.TIMEOUT.value)
_C = outcome_counts.c


def add_from(dialect: str, source: str, where: str = "true") -> str:
    """Return the statement that adds appended counts to their minutes.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        source: The table of appended counts, or a query's name.
        where: Which of them.
    """
    minute = "CAST(floor(at / 60) AS bigint) * 60" if dialect == "postgresql" else "CAST(at / 60 AS integer) * 60"
    first, second, third = (_label(dialect, place) for place in range(3))
    good, bad = f"{third} = '{Outcome.SUCCEEDED}'", f"{third} IN ({', '.join(map(repr, _BAD))})"
    none = "1 = 0"
    of_each = (
        (ENDED, TASK, first, good, bad, f"{good} OR {bad}"),
        (ENDED, BULKHEAD, second, "1 = 1", none, f"{third} <> ''"),
        (BELLS_MISSED.name, BULKHEAD, first, none, "1 = 1", "1 = 1"),
        (RECOVERY.name, RECOVERED, first, "1 = 1", none, "1 = 1"),
        (CHECKPOINT_FAILURES.name, CHECKPOINT, first, none, "1 = 1", "1 = 1"),
        (SERVICE_CALLS.name, SERVICE, first, f"{second} = 'ok'", f"{second} IN ('degraded', 'failed')", "1 = 1"),
    )
    rows = " UNION ALL ".join(
        f"SELECT '{series}' || {of} AS series, {minute} AS start, CASE WHEN {is_good} THEN count ELSE 0 END AS good, "
        f"CASE WHEN {is_bad} THEN count ELSE 0 END AS bad FROM {source} WHERE {where} AND name = '{name}' AND ({only})"
        for name, series, of, is_good, is_bad, only in of_each
    )
    # In one order, as the totals are.
    return (
        "INSERT INTO perdure_outcome_counts AS m (series, span, start, good, bad) "
        f"SELECT series, {MINUTE}, start, sum(good), sum(bad) FROM ({rows}) AS s GROUP BY series, start "
        "ORDER BY series, start "
        "ON CONFLICT (series, span, start) DO UPDATE SET good = m.good + excluded.good, bad = m.bad + excluded.bad"
    )


def _label(dialect: str, place: int) -> str:
    return f"(CAST(labels AS json) ->> {place})" if dialect == "postgresql" else f"json_extract(labels, '$[{place}]')"


def recent(connection: Connection, now: float, window: float, before: float) -> tuple[dict[str, Count], dict[str, int]]:
    """Return the sums of the last minutes by series, and how many jobs waited in each bulkhead before.

    Args:
        connection: Where to read.
        now: The ledger's time, epoch seconds.
        window: Seconds of the sums.
        before: How many seconds ago the depths are wanted; the newest that is older counts, a few minutes at most.
    """
    ago, first = int(now - before), int(now - max(window, before + SLACK) - MINUTE)
    is_recent = _C.start > int(now - window - MINUTE)
    query = (
        select(
            _C.series, _sum_if(_C.good, is_recent), _sum_if(_C.bad, is_recent), func.max(case((_C.start <= ago, _C.start)))
        )
        .where(_C.span == MINUTE, _C.start > first)
        .group_by(_C.series)
    )
    found, depths = {}, []
    for series, good, bad, newest in connection.execute(query):
        if not series.startswith(DEPTH):
            found[series] = Count(int(good), int(bad))
        elif newest is not None:
            depths.append((series, newest))
    return found, {series.removeprefix(DEPTH): _depth(connection, series, start) for series, start in depths}


def _depth(connection: Connection, series: str, start: int) -> int:
    this = (_C.series == series, _C.span == MINUTE, _C.start == start)
    return int(connection.execute(select(_C.good).where(*this)).scalar_one())


def _sum_if(column: Any, condition: Any) -> Any:
    return func.sum(case((condition, column), else_=0))


def sums(connection: Connection, span: int, since: float, series: Sequence[str]) -> dict[str, Count]:
    """Return the sums of stretches that begin at a moment or later.

    Args:
        connection: Where to read.
        span: ``MINUTE`` or ``HOUR``.
        since: Epoch seconds.
        series: Which series.
    """
    query = select(_C.series, func.sum(_C.good), func.sum(_C.bad))
    query = query.where(_C.series.in_(series), _C.span == span, _C.start > int(since - span))
    return {row[0]: Count(int(row[1]), int(row[2])) for row in connection.execute(query.group_by(_C.series))}


def each_of(connection: Connection, kind: str, since: float) -> dict[str, dict[int, Count]]:
    """Return the minutes of all series of a kind, by name and by the minute's number since the epoch.

    Args:
        connection: Where to read.
        kind: Such as ``SERVICE``.
        since: Of minutes that begin at this moment or later, epoch seconds.
    """
    found: dict[str, dict[int, Count]] = {}
    query = select(_C.series, _C.start, _C.good, _C.bad).where(_C.span == MINUTE, _C.start >= int(since))
    for series, start, good, bad in connection.execute(query.where(_C.series.startswith(kind, autoescape=True))):
        found.setdefault(series.removeprefix(kind), {})[start // MINUTE] = Count(int(good), int(bad))
    return found


def note_depths(connection: Connection, now: float, depths: Mapping[str, int]) -> None:
    """Keep how many jobs wait in each bulkhead, once a minute; ``now`` is the ledger's time, epoch seconds."""
    minute = int(now // MINUTE) * MINUTE
    rows = [
        {"series": f"{DEPTH}{name}", "span": MINUTE, "start": minute, "good": depth, "bad": 0}
        for name, depth in sorted(depths.items())
    ]
    connection.execute(insert_ignoring(outcome_counts, connection.dialect.name), rows)


def add(connection: Connection, found: Mapping[str, Count], start: float, spans: Sequence[int]) -> None:
    """Add counts of series to stretches.

    Args:
        connection: Where to write.
        found: What was counted.
        start: A moment in the stretches, epoch seconds.
        spans: Their widths, ``MINUTE`` or ``HOUR``.
    """
    rows = [
        {"series": series, "span": span, "start": int(start // span) * span, "good": count.good, "bad": count.bad}
        for series, count in sorted(found.items())
        for span in spans
    ]
    if rows:
        connection.execute(_add_statement(connection.dialect.name), rows)


def prune(connection: Connection, page: int) -> int:
    """Delete a page of counts that no rule and no objective looks at any more, and return how many."""
    moment: float = connection.execute(select(now())).scalar_one()
    deleted = 0
    for span, kept in _KEPT.items():
        old = select(_C.series, _C.start).where(_C.span == span, _C.start < int(moment - kept)).limit(page)
        rows = [{"of_series": row.series, "of_start": row.start} for row in connection.execute(old)]
        if rows:
            this = (_C.series == bindparam("of_series"), _C.span == span, _C.start == bindparam("of_start"))
            connection.execute(delete(outcome_counts).where(*this), rows)
        deleted += len(rows)
    return deleted


@cache
def _add_statement(dialect: str) -> Any:
    statement = inserting(outcome_counts, dialect)
    new = statement.excluded
    total = {"good": _C.good + new.good, "bad": _C.bad + new.bad}
    return statement.on_conflict_do_update(index_elements=["series", "span", "start"], set_=total)
