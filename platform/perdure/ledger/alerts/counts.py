"""Outcomes counted by minute and hour, each attempt once: what failure rates and objectives are read from.

A watermark says how far the ledger has been counted; it moves in the transaction that counts. So a rule costs the sum of a
few rows, and not a look at all that ended in its window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from perdure.errors import CheckpointTooLarge
from perdure.ledger.conditions import CLOCK_SKEW, DIALECTS, insert_ignoring
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.now import now
from perdure.ledger.schema import attempts, dead_letters, facts, job_notes, jobs, outcome_counts
from perdure.model.alerts.slo import Count, Slo
from perdure.model.ids import earliest_id
from perdure.model.states import Outcome
from perdure.model.storage_errors import CorruptRecord, InsufficientReplicas, InvalidRecord, StoreFull, StoreUnavailable
from perdure.model.text.described import type_name

_WATERMARK = "alerts:counted"
#: Seconds after which nothing can be added to a moment: writers' transactions are over then.
SETTLED = 5.0
#: Seconds of the past that are counted when nothing has been counted yet.
FIRST = 300.0
#: Widths of the stretches, in seconds: short windows read minutes, long ones hours.
MINUTE, HOUR = 60, 3600
#: Seconds for which each is kept.
_KEPT = {MINUTE: 86_400.0, HOUR: 100 * 86_400.0}

#: Seconds by which the depth of a moment may be older than it.
SLACK = 120.0

#: Series: attempts of a task, those of them that checkpoints made fail, first starts in a bulkhead (bad: a look found the
#: job, and no bell), jobs that wait there, jobs of an objective.
TASK, CHECKPOINT, START, DEPTH, SLO = "task:", "checkpoint:", "start:", "depth:", "slo:"

#: Errors of attempts, and kinds of notes, that say that a checkpoint could not be saved or read.
_STORE_ERRORS = tuple(
    type_name(kind)
    for kind in (CheckpointTooLarge, CorruptRecord, InsufficientReplicas, InvalidRecord, StoreFull, StoreUnavailable)
)
_DAMAGES = (NoteKind.CHECKPOINT_DAMAGED.value, NoteKind.CHECKPOINT_LOST.value)
#: Seconds from when a job could run to its start after which a look has found it and no bell; a look comes each second.
LATE, TOO_LATE = 0.25, 2.0

_BAD = (Outcome.FAILED.value, Outcome.CRASHED.value, Outcome.TIMEOUT.value)
_C = outcome_counts.c


def _one_if(*conditions: Any) -> Any:
    return func.sum(case((and_(*conditions), 1), else_=0))


_WAIT = jobs.c.first_started_at - jobs.c.queued_at
_IS_FIRST = jobs.c.fence == 1
_SUCCEEDED = attempts.c.outcome == Outcome.SUCCEEDED.value
_FAILED = attempts.c.outcome.in_(_BAD)
_HAS_ENDED = and_(attempts.c.finished_at >= bindparam("since"), attempts.c.finished_at < bindparam("until"))
_OF_EACH = (
    jobs.c.task,
    jobs.c.bulkhead,
    _one_if(_SUCCEEDED).label("good"),
    _one_if(_FAILED).label("bad"),
    _one_if(_FAILED, func.coalesce(attempts.c.error_type, "").in_(_STORE_ERRORS)).label("unsaved"),
    _one_if(_IS_FIRST, _WAIT < LATE).label("heard"),
    _one_if(_IS_FIRST, _WAIT >= LATE, _WAIT < TOO_LATE).label("unheard"),
)


def count_on(connection: Connection, slos: Sequence[Slo]) -> bool:
    """Count the next stretch and return whether there may be another one that has ended.

    Args:
        connection: A connection in a transaction.
        slos: The objectives whose jobs are counted.
    """
    of_mark = facts.c.name == _WATERMARK
    mark = connection.execute(select(facts.c.value, now()).where(of_mark).with_for_update()).one_or_none()
    if mark is None:
        _begin(connection)
        return True
    since, moment = float(mark[0]), float(mark[1])
    minute = int(since // MINUTE) * MINUTE
    until = min(moment - SETTLED, minute + MINUTE)
    if until <= since:
        return False
    found = _ended(connection, since, until, slos)
    _add(connection, found, {MINUTE: minute, HOUR: minute // HOUR * HOUR})
    connection.execute(update(facts).where(of_mark).values(value=repr(until), updated_at=now()))
    return until == minute + MINUTE


def _begin(connection: Connection) -> None:
    """Write where counting begins; somebody else may have done so."""
    first = {"name": _WATERMARK, "value": repr(connection.execute(select(now())).scalar_one() - FIRST)}
    connection.execute(insert_ignoring(facts, connection.dialect.name).values(**first, updated_at=now()))


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


def note_depths(connection: Connection, now: float, depths: Mapping[str, int]) -> None:
    """Keep how many jobs wait in each bulkhead, once a minute; ``now`` is the ledger's time, epoch seconds."""
    minute = int(now // MINUTE) * MINUTE
    rows = [
        {"series": f"{DEPTH}{name}", "span": MINUTE, "start": minute, "good": depth, "bad": 0}
        for name, depth in sorted(depths.items())
    ]
    connection.execute(insert_ignoring(outcome_counts, connection.dialect.name), rows)


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


def _ended(connection: Connection, since: float, until: float, slos: Sequence[Slo]) -> dict[str, Count]:
    in_time = [_one_if(_SUCCEEDED, *_in_time(slo)).label(f"slo_{number}") for number, slo in enumerate(slos)]
    query = select(*_OF_EACH, *in_time).join(jobs, jobs.c.id == attempts.c.job_id).where(_HAS_ENDED)
    found: dict[str, Count] = {}
    for row in connection.execute(query.group_by(jobs.c.task, jobs.c.bulkhead), {"since": since, "until": until}):
        _put(found, f"{TASK}{row.task}", row.good, row.bad)
        _put(found, f"{CHECKPOINT}{row.task}", 0, row.unsaved)
        _put(found, f"{START}{row.bulkhead}", row.heard, row.unheard)
        for number, slo in enumerate(slos):
            if slo.task == row.task:
                good = row._mapping[f"slo_{number}"]
                _put(found, f"{SLO}{slo.name}", good, row.good - good)
    for task, damaged in _damaged(connection, since, until):
        _put(found, f"{CHECKPOINT}{task}", 0, damaged)
    if slos:
        for task, dead in _died(connection, since, until, {slo.task for slo in slos}):
            for slo in slos:
                if slo.task == task:
                    _put(found, f"{SLO}{slo.name}", 0, dead)
    return found


def _in_time(slo: Slo) -> list[Any]:
    """Return the conditions that a success was in time: from when it could run first, or its submit if it ran before."""
    if slo.within is None:
        return [jobs.c.task == slo.task]
    begun = case((_IS_FIRST, jobs.c.queued_at), else_=jobs.c.created_at)
    return [jobs.c.task == slo.task, attempts.c.finished_at - func.coalesce(begun, jobs.c.created_at) <= slo.within]


def _died(connection: Connection, since: float, until: float, tasks: Iterable[str]) -> list[Any]:
    d = dead_letters.c
    new = (d.id >= earliest_id(since - CLOCK_SKEW), d.created_at >= since, d.created_at < until)
    query = select(d.task, func.count()).where(d.task.in_(sorted(tasks)), d.job_id.is_not(None), *new)
    return list(connection.execute(query.group_by(d.task)))


def _damaged(connection: Connection, since: float, until: float) -> list[tuple[str, int]]:
    n = job_notes.c
    new = (n.id >= earliest_id(since - CLOCK_SKEW), n.at >= since, n.at < until)
    task = select(jobs.c.task).where(jobs.c.id == n.job_id).scalar_subquery()
    found = connection.execute(select(task).where(n.kind.in_(_DAMAGES), *new)).scalars()
    return list(Counter(one for one in found if one is not None).items())


def _put(found: dict[str, Count], series: str, good: int, bad: int) -> None:
    if good or bad:
        before = found.get(series, Count())
        found[series] = Count(before.good + int(good), before.bad + int(bad))


def _add(connection: Connection, found: Mapping[str, Count], starts: Mapping[int, int]) -> None:
    rows = [
        {"series": series, "span": span, "start": start, "good": count.good, "bad": count.bad}
        for series, count in sorted(found.items())
        for span, start in starts.items()
        if span == MINUTE or series.startswith(SLO)
    ]
    if rows:
        connection.execute(_ADD[connection.dialect.name], rows)


def _add_statement(dialect: str) -> Any:
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(outcome_counts)
    new = statement.excluded
    total = {"good": _C.good + new.good, "bad": _C.bad + new.bad}
    return statement.on_conflict_do_update(index_elements=["series", "span", "start"], set_=total)


_ADD = {dialect: _add_statement(dialect) for dialect in DIALECTS}
