"""Jobs of objectives, counted by minute and hour, each once: whether one was in time stands with its attempt alone.

A watermark says how far the ledger has been counted; it moves in the transaction that counts. So an objective costs the sum
of a few rows, and not a look at all that ended in its window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.ledger import direct, minutes
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, NOW, one_of, texts
from perdure.ledger.minutes import HOUR, MINUTE, SLO
from perdure.model.alerts.slo import Count, Slo
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.states import Outcome

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_WATERMARK = "alerts:counted"
#: Seconds after which nothing can be added to a moment: writers' transactions are over then.
SETTLED = 5.0
#: Seconds of the past that are counted when nothing has been counted yet.
FIRST = 300.0
#: Seconds of the past that are made up for at most, when nobody has counted for long.
LONGEST = 86_400.0

_MARK = {
    dialect: f"SELECT value, {NOW[dialect]} FROM perdure_facts WHERE name = '{_WATERMARK}' {FOR_UPDATE[dialect]}"
    for dialect in DIALECTS
}
_BEGIN = {
    dialect: f"INSERT INTO perdure_facts (name, value, updated_at) "
    f"VALUES ('{_WATERMARK}', CAST({NOW[dialect]} - {FIRST} AS text), {NOW[dialect]}) ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}
_MOVE = {
    dialect: f"UPDATE perdure_facts SET value = :until, updated_at = {NOW[dialect]} WHERE name = '{_WATERMARK}'"
    for dialect in DIALECTS
}

_SLOS = {"slo": "text", "of_task": "text", "within": "double precision"}


def _succeeded(dialect: str) -> str:
    """Return the query of each objective's successes: how many were in time, and how many there were."""
    # In time is what took no longer from when it could run first, or from its submit if it ran before. Not by the index of
    # tasks, and before the objectives are asked for: all of a task's jobs would be read, whenever they ended.
    return f"""
    WITH ended AS MATERIALIZED (
        SELECT j.task, perdure_attempts.finished_at
            - coalesce(CASE WHEN j.fence = 1 THEN j.queued_at ELSE j.created_at END, j.created_at) AS took
        FROM perdure_attempts JOIN perdure_jobs j ON j.id = perdure_attempts.job_id
        WHERE perdure_attempts.finished_at >= :since AND perdure_attempts.finished_at < :until
            AND perdure_attempts.outcome = '{Outcome.SUCCEEDED}' AND {one_of(dialect, "j.task || ''", "tasks")}
    )
    SELECT s.slo, sum(CASE WHEN s.within IS NULL OR ended.took <= s.within THEN 1 ELSE 0 END), count(*)
    FROM ended JOIN {rows_of(dialect, _SLOS)} ON s.of_task = ended.task GROUP BY s.slo
    """


_SUCCEEDED = {dialect: _succeeded(dialect) for dialect in DIALECTS}
_DIED = {
    dialect: f"""
    SELECT task, count(*) FROM perdure_dead_letters
    WHERE {one_of(dialect, "task", "tasks")} AND job_id IS NOT NULL
        AND id >= :made_by AND created_at >= :since AND created_at < :until
    GROUP BY task
    """
    for dialect in DIALECTS
}


def count_on(connection: Where, slos: Sequence[Slo]) -> bool:
    """Count the next stretch and return whether there may be another one that has ended.

    Args:
        connection: A connection in a transaction.
        slos: The objectives whose jobs are counted.
    """
    dialect = connection.dialect.name
    mark = direct.rows(connection, _MARK[dialect], {})
    if not mark:
        direct.run(connection, _BEGIN[dialect], {})  # unless somebody else has done so
        return True
    counted, moment = map(float, mark[0])
    since = max(counted, moment - LONGEST)
    end = since // MINUTE * MINUTE + MINUTE
    until = min(moment - SETTLED, end)
    if until <= since:
        return False
    minutes.add(connection, _ended(connection, since, until, slos), since, (MINUTE, HOUR))
    direct.run(connection, _MOVE[dialect], {"until": repr(until)})
    return until == end


def _ended(connection: Where, since: float, until: float, slos: Sequence[Slo]) -> dict[str, Count]:
    dialect = connection.dialect.name
    span = {"since": since, "until": until, "tasks": texts(dialect, sorted({slo.task for slo in slos}))}
    rows = encoded([{"slo": slo.name, "of_task": slo.task, "within": slo.within} for slo in slos])
    succeeded = {
        name: (int(good), total) for name, good, total in direct.rows(connection, _SUCCEEDED[dialect], span | rows)
    }
    made_by = {"made_by": earliest_id(since - CLOCK_SKEW)}
    dead: Mapping[str, int] = dict(direct.rows(connection, _DIED[dialect], span | made_by))
    found: dict[str, Count] = {}
    for slo in slos:
        good, total = succeeded.get(slo.name, (0, 0))
        count = Count(good, total - good + dead.get(slo.task, 0))
        if count.total:
            found[f"{SLO}{slo.name}"] = count
    return found
