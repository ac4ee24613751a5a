"""What was counted, by minute and hour: what alerts, objectives and histories of scores are read from.

What settlements and processes append is added up here as it is to the totals of all time, in the same transaction; see
:func:`perdure.ledger.counts.fold`. So nothing is counted twice or anew, and a rule costs the sum of a few rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, NOW, one_of, texts
from perdure.model.alerts.slo import Count
from perdure.model.metrics import BELLS_MISSED, CHECKPOINT_FAILURES, ENDED, RECOVERY, SERVICE_CALLS
from perdure.model.states import Outcome

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

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
_INTO = "INSERT INTO perdure_outcome_counts AS m (series, span, start, good, bad)"
_ADDED = "ON CONFLICT (series, span, start) DO UPDATE SET good = m.good + excluded.good, bad = m.bad + excluded.bad"


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
        f"{_INTO} SELECT series, {MINUTE}, start, sum(good), sum(bad) FROM ({rows}) AS s GROUP BY series, start "
        f"ORDER BY series, start {_ADDED}"
    )


def _label(dialect: str, place: int) -> str:
    return f"(CAST(labels AS json) ->> {place})" if dialect == "postgresql" else f"json_extract(labels, '$[{place}]')"


_COLUMNS = {"series": "text", "span": "int", "start": "bigint", "good": "bigint", "bad": "bigint"}


def _insert(dialect: str, conflict: str) -> str:
    # In one order, as those are that are added up.
    return f"{_INTO} SELECT {', '.join(_COLUMNS)} FROM {rows_of(dialect, _COLUMNS)} WHERE true ORDER BY 1, 2, 3 {conflict}"


_NOTE = {dialect: _insert(dialect, "ON CONFLICT DO NOTHING") for dialect in DIALECTS}
_ADD = {dialect: _insert(dialect, _ADDED) for dialect in DIALECTS}
_RECENT = f"""
    SELECT series, sum(CASE WHEN start > :since THEN good ELSE 0 END), sum(CASE WHEN start > :since THEN bad ELSE 0 END),
        max(CASE WHEN start <= :before THEN start END)
    FROM perdure_outcome_counts WHERE span = {MINUTE} AND start > :first GROUP BY series
"""
_DEPTH = f"SELECT good FROM perdure_outcome_counts WHERE series = :series AND span = {MINUTE} AND start = :start"
_SUMS = {
    dialect: f"""
    SELECT series, sum(good), sum(bad) FROM perdure_outcome_counts
    WHERE {one_of(dialect, "series", "series")} AND span = :span AND start > :since GROUP BY series
    """
    for dialect in DIALECTS
}
_EACH = f"""
    SELECT series, start, good, bad FROM perdure_outcome_counts
    WHERE series LIKE :those AND span = {MINUTE} AND start >= :since
"""
_PRUNE = {
    dialect: [
        f"""
        DELETE FROM perdure_outcome_counts WHERE (series, span, start) IN (
            SELECT series, span, start FROM perdure_outcome_counts
            WHERE span = {span} AND start < CAST({NOW[dialect]} - {kept} AS bigint) LIMIT :page
        ) RETURNING span
        """
        for span, kept in _KEPT.items()
    ]
    for dialect in DIALECTS
}


def recent(connection: Where, now: float, window: float, before: float) -> tuple[dict[str, Count], dict[str, int]]:
    """Return the sums of the last minutes by series, and how many jobs waited in each bulkhead before.

    Args:
        connection: Where to read.
        now: The ledger's time, epoch seconds.
        window: Seconds of the sums.
        before: How many seconds ago the depths are wanted; the newest that is older counts, a few minutes at most.
    """
    first = int(now - max(window, before + SLACK) - MINUTE)
    moments = {"since": int(now - window - MINUTE), "before": int(now - before), "first": first}
    found, depths = {}, []
    for series, good, bad, newest in direct.rows(connection, _RECENT, moments):
        if not series.startswith(DEPTH):
            found[series] = Count(int(good), int(bad))
        elif newest is not None:
            depths.append((series, newest))
    return found, {series.removeprefix(DEPTH): _depth(connection, series, start) for series, start in depths}


def _depth(connection: Where, series: str, start: int) -> int:
    [(depth,)] = direct.rows(connection, _DEPTH, {"series": series, "start": start})
    return int(depth)


def sums(connection: Where, span: int, since: float, series: Sequence[str]) -> dict[str, Count]:
    """Return the sums of stretches that begin at a moment or later.

    Args:
        connection: Where to read.
        span: ``MINUTE`` or ``HOUR``.
        since: Epoch seconds.
        series: Which series.
    """
    dialect = connection.dialect.name
    which = {"series": texts(dialect, series), "span": span, "since": int(since - span)}
    return {name: Count(int(good), int(bad)) for name, good, bad in direct.rows(connection, _SUMS[dialect], which)}


def each_of(connection: Where, kind: str, since: float) -> dict[str, dict[int, Count]]:
    """Return the minutes of all series of a kind, by name and by the minute's number since the epoch.

    Args:
        connection: Where to read.
        kind: Such as ``SERVICE``.
        since: Of minutes that begin at this moment or later, epoch seconds.
    """
    found: dict[str, dict[int, Count]] = {}
    for series, start, good, bad in direct.rows(connection, _EACH, {"those": f"{kind}%", "since": int(since)}):
        found.setdefault(series.removeprefix(kind), {})[start // MINUTE] = Count(int(good), int(bad))
    return found


def note_depths(connection: Where, now: float, depths: Mapping[str, int]) -> None:
    """Keep how many jobs wait in each bulkhead, once a minute; ``now`` is the ledger's time, epoch seconds."""
    minute = {"span": MINUTE, "start": int(now // MINUTE) * MINUTE, "bad": 0}
    rows = [{"series": f"{DEPTH}{name}", "good": depth, **minute} for name, depth in depths.items()]
    direct.run(connection, _NOTE[connection.dialect.name], encoded(rows))


def add(connection: Where, found: Mapping[str, Count], start: float, spans: Sequence[int]) -> None:
    """Add counts of series to stretches.

    Args:
        connection: Where to write.
        found: What was counted.
        start: A moment in the stretches, epoch seconds.
        spans: Their widths, ``MINUTE`` or ``HOUR``.
    """
    rows = [
        {"series": series, "span": span, "start": int(start // span) * span, "good": count.good, "bad": count.bad}
        for series, count in found.items()
        for span in spans
    ]
    if rows:
        direct.run(connection, _ADD[connection.dialect.name], encoded(rows))


def prune(connection: Where, page: int) -> int:
    """Delete a page of counts that no rule and no objective looks at any more, and return how many."""
    return sum(len(direct.rows(connection, statement, {"page": page})) for statement in _PRUNE[connection.dialect.name])
