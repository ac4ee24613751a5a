"""What ended in a stretch of time, for plots: read by an index of the attempts' ends, so only that stretch is touched.

How long attempts ran is counted in buckets rather than averaged: buckets add up over minutes and bulkheads, and any
percentile can be read from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from sqlalchemy import Connection, bindparam, case, func, null, select

from perdure.ledger.schema import attempts, jobs
from perdure.model.states import Outcome

#: The upper ends of the buckets, in seconds: from a millisecond to more than an hour, two for each doubling.
BOUNDS = tuple(0.001 * 2 ** (step / 2) for step in range(45))

_GOOD = Outcome.SUCCEEDED.value
_BAD = (Outcome.FAILED.value, Outcome.CRASHED.value, Outcome.TIMEOUT.value)


class Ended(Struct, frozen=True):
    """Attempts of one task on one bulkhead that ended in a stretch of time.

    Attributes:
        bulkhead: The bulkhead.
        task: The task.
        succeeded: Those that succeeded.
        failed: Those that failed, crashed, or took too long.
        runs: How many of these ran how long, by the bucket's place in ``BOUNDS``.
        crashed: Those of the failed ones whose process died.
    """

    bulkhead: str
    task: str
    succeeded: int
    failed: int
    runs: Mapping[int, int] = field(default_factory=dict)
    crashed: int = 0


_ran_for = attempts.c.finished_at - attempts.c.started_at
_OF_EACH = (
    select(
        jobs.c.bulkhead,
        jobs.c.task,
        case((attempts.c.outcome == _GOOD, 1), else_=0).label("good"),
        case((attempts.c.outcome == Outcome.CRASHED.value, 1), else_=0).label("crashed"),
        case(
            (attempts.c.started_at.is_(None), null()),  # it ended without having run
            *((_ran_for <= bound, place) for place, bound in enumerate(BOUNDS)),
            else_=len(BOUNDS),
        ).label("bucket"),
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(attempts.c.finished_at >= bindparam("since"), attempts.c.finished_at < bindparam("until"))
    .where(attempts.c.outcome.in_((_GOOD, *_BAD)))
    .subquery()
)
_E = _OF_EACH.c
_SUMS = (func.sum(_E.good).label("good"), func.sum(_E.crashed).label("crashed"), func.count().label("total"))
_ENDED = select(_E.bulkhead, _E.task, _E.bucket, *_SUMS).group_by(_E.bulkhead, _E.task, _E.bucket)


def ended_between(connection: Connection, since: float, until: float) -> list[Ended]:
    """Return what ended from ``since`` to just before ``until``, epoch seconds, by bulkhead and task."""
    found: dict[tuple[str, str], tuple[int, int, dict[int, int], int]] = {}
    for row in connection.execute(_ENDED, {"since": since, "until": until}):
        total, ended_well = int(row.total), int(row.good)
        good, bad, runs, crashed = found.get((row.bulkhead, row.task), (0, 0, {}, 0))
        ran = {} if row.bucket is None else {row.bucket: total}
        sums = (good + ended_well, bad + total - ended_well, runs | ran, crashed + int(row.crashed))
        found[row.bulkhead, row.task] = sums
    return [Ended(*where, good, bad, runs, crashed) for where, (good, bad, runs, crashed) in sorted(found.items())]


def added(runs: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return buckets of several stretches as one."""
    total: dict[int, int] = {}
    for one in runs:
        for bucket, count in one.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile(runs: Mapping[int, int], part: float) -> float | None:
    """Return the seconds within which this part of all ran, 0 to 1; None when none did.

    It is exact to the bucket, whose upper end is 1.4 times its lower one, and taken as even within it.
    """
    rank = part * sum(runs.values())
    passed = 0.0
    for bucket in sorted(runs):
        if passed + runs[bucket] >= rank and runs[bucket]:
            lower = BOUNDS[bucket - 1] if bucket else 0.0
            upper = BOUNDS[min(bucket, len(BOUNDS) - 1)]
            return lower + max(0.0, upper - lower) * (rank - passed) / runs[bucket]
        passed += runs[bucket]
    return None
