"""Jobs of objectives, counted by minute and hour, each once: whether one was in time stands with its attempt alone.

A watermark says how far the ledger has been counted; it moves in the transaction that counts. So an objective costs the sum
of a few rows, and not a look at all that ended in its window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, select, update

from perdure.ledger import minutes
from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.minutes import HOUR, MINUTE, SLO
from perdure.ledger.now import now
from perdure.ledger.schema import attempts, dead_letters, facts, jobs
from perdure.model.alerts.slo import Count, Slo
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import Outcome

_WATERMARK = "alerts:counted"
#: Seconds after which nothing can be added to a moment: writers' transactions are over then.
SETTLED = 5.0
#: Seconds of the past that are counted when nothing has been counted yet.
FIRST = 300.0
#: Seconds of the past that are made up for at most, when nobody has counted for long.
LONGEST = 86_400.0


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
    moment = float(mark[1])
    since = max(float(mark[0]), moment - LONGEST)
    end = since // MINUTE * MINUTE + MINUTE
    until = min(moment - SETTLED, end)
    if until <= since:
        return False
    minutes.add(connection, _ended(connection, since, until, slos), since, (MINUTE, HOUR))
    connection.execute(update(facts).where(of_mark).values(value=repr(until), updated_at=now()))
    return until == end


def _begin(connection: Connection) -> None:
    """Write where counting begins; somebody else may have done so."""
    first = {"name": _WATERMARK, "value": repr(connection.execute(select(now())).scalar_one() - FIRST)}
    connection.execute(insert_ignoring(facts, connection.dialect.name).values(**first, updated_at=now()))


def _ended(connection: Connection, since: float, until: float, slos: Sequence[Slo]) -> dict[str, Count]:
    tasks = sorted({slo.task for slo in slos})
    dead = _died(connection, since, until, tasks)
    found: dict[str, Count] = {}
    in_time = [func.sum(case((_in_time(slo), 1), else_=0)) for slo in slos]
    query = (
        select(jobs.c.task, func.count(), *in_time)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.finished_at >= bindparam("since"), attempts.c.finished_at < bindparam("until"))
        .where(attempts.c.outcome == Outcome.SUCCEEDED.value, jobs.c.task.in_(tasks))
        .group_by(jobs.c.task)
    )
    succeeded = {row[0]: row[1:] for row in connection.execute(query, {"since": since, "until": until})}
    for number, slo in enumerate(slos):
        total, *good = succeeded.get(slo.task, (0, *[0] * len(slos)))
        count = Count(int(good[number]), int(total - good[number]) + dead.get(slo.task, 0))
        if count.total:
            found[f"{SLO}{slo.name}"] = count
    return found


def _in_time(slo: Slo) -> Any:
    """Return the condition that a success was in time: from when it could run first, or its submit if it ran before."""
    if slo.within is None:
        return jobs.c.task == slo.task
    begun = case((jobs.c.fence == 1, jobs.c.queued_at), else_=jobs.c.created_at)
    took = attempts.c.finished_at - func.coalesce(begun, jobs.c.created_at)
    return and_(jobs.c.task == slo.task, took <= slo.within)


def _died(connection: Connection, since: float, until: float, tasks: Sequence[str]) -> Mapping[str, int]:
    d = dead_letters.c
    new = (d.id >= earliest_id(since - CLOCK_SKEW), d.created_at >= since, d.created_at < until)
    query = select(d.task, func.count()).where(d.task.in_(tasks), d.job_id.is_not(None), *new)
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(d.task))}
