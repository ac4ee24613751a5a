"""Collecting the facts that say why a job is not running; see :mod:`perdure.model.waiting_reasons`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.errors import JobNotFound
from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.ledger.jobs.states import SEEN_STATE
from perdure.ledger.running.claims import RUNS
from perdure.ledger.workers.register import IS_LIVE
from perdure.ledger.workers.verdicts import votes_lost
from perdure.model.states import WAITING_STATES, JobState
from perdure.model.waiting_reasons import Facts
from perdure.model.worker_health import is_barred

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Queued jobs before a job that are counted at most.
MOST_COUNTED = 10_000

_SAME = (
    "task",
    "bulkhead",
    "run_at",
    "unknown_since",
    "deadline",
    "snoozes",
    "crashes",
    "error",
    "breaker",
    "limit_key",
)
_OF_JOB = (*_SAME, "id", "lane", "priority", "worker_name", "replica_of", "cancel_requested_at")
_JOB = {
    dialect: f"SELECT {', '.join(_OF_JOB)}, {SEEN_STATE[dialect]}, {NOW[dialect]} FROM perdure_jobs WHERE id = :of_job"
    for dialect in DIALECTS
}
_PAUSE = """
    SELECT coalesce(nullif(paused_by, ''), 'somebody'), reason FROM perdure_bulkheads WHERE name = :in_bulkhead AND paused
"""
_SERVING = f"FROM perdure_workers WHERE bulkhead = :in_bulkhead AND {IS_LIVE} AND NOT draining"
_WORKERS = f"SELECT count(*), coalesce(sum(concurrency), 0) {_SERVING}"
_RUNNING = {
    dialect: f"SELECT count(*) FROM {HOT[dialect]} WHERE bulkhead = :in_bulkhead AND {RUNS}" for dialect in DIALECTS
}
_AHEAD = {
    dialect: f"""
    SELECT count(*) FROM (
        SELECT 1 FROM {HOT[dialect]} WHERE bulkhead = :in_bulkhead AND lane = :lane AND run_at <= {NOW[dialect]}
            AND (priority < :priority OR (priority = :priority AND run_at < :run_at))
        LIMIT {MOST_COUNTED}
    ) AS ahead
    """
    for dialect in DIALECTS
}
_OF_VOTE = "SELECT state, worker_name FROM perdure_jobs WHERE replica_of = :of_vote"
_VOTERS = f"SELECT DISTINCT name, {votes_lost('perdure_workers.name')} {_SERVING}"


def facts_of(connection: Where, job_id: str, limit: int | None, max_outvoted: int | None = None) -> Facts:
    """Return the facts about a job.

    Args:
        connection: Where to read.
        job_id: The job.
        limit: The most jobs that may run on its bulkhead at once; None for no bound.
        max_outvoted: Votes that a worker may lose before it takes part in no more of them; None for any number.

    Raises:
        JobNotFound: There is none of that id.
    """
    dialect = connection.dialect.name
    found = direct.rows(connection, _JOB[dialect], {"of_job": job_id})
    if not found:
        raise JobNotFound(f"no job {job_id!r} in the ledger. List them: perdure jobs list")
    *values, state, moment = found[0]
    job = dict(zip(_OF_JOB, values, strict=True))
    in_bulkhead = {"in_bulkhead": job["bulkhead"]}
    [(paused_by, pause_reason)] = direct.rows(connection, _PAUSE, in_bulkhead) or [(None, None)]
    [(serving, slots)] = direct.rows(connection, _WORKERS, in_bulkhead)
    [(running,)] = direct.rows(connection, _RUNNING[dialect], in_bulkhead)
    return Facts(
        **{name: job[name] for name in _SAME},
        state=JobState(state),
        now=moment,
        cancel_requested=job["cancel_requested_at"] is not None,
        worker=job["worker_name"],
        paused_by=paused_by,
        pause_reason=pause_reason,
        workers=serving,
        slots=slots,
        running=running,
        limit=limit,
        ahead=_ahead(connection, job),
        **_vote(connection, job, max_outvoted),
    )


def _vote(connection: Where, job: Mapping[str, Any], max_outvoted: int | None) -> dict[str, Any]:
    """Return who may take the replicas that wait, of the vote that a job is or belongs to."""
    replicas = direct.rows(connection, _OF_VOTE, {"of_vote": job["replica_of"] or job["id"]})
    waiting = [name for state, name in replicas if state in WAITING_STATES]
    if not waiting:
        return {}
    taken = {name for _, name in replicas} - set(waiting)
    lost = dict(direct.rows(connection, _VOTERS, {"in_bulkhead": job["bulkhead"]}))
    barred = {name for name, times in lost.items() if is_barred(times, max_outvoted)}
    return {"unvoted": len(waiting), "voters": len(lost.keys() - taken - barred), "barred": tuple(sorted(barred))}


def _ahead(connection: Where, job: Mapping[str, Any]) -> int:
    """Return how many jobs of a job's lane come before it."""
    if job["run_at"] is None:
        return 0
    place = {"in_bulkhead": job["bulkhead"], "lane": job["lane"], "priority": job["priority"], "run_at": job["run_at"]}
    [(ahead,)] = direct.rows(connection, _AHEAD[connection.dialect.name], place)
    return int(ahead)
