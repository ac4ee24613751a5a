"""Reading a job by its id, and its attempts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from perdure.errors import JobNotFound
from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, one_of, texts
from perdure.ledger.jobs.states import SEEN_STATE
from perdure.model.records import AttemptRecord, JobRecord
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: What :meth:`JobRecord.of` reads besides the state as people see it.
_OF_RECORD = (
    "id",
    "task",
    "bulkhead",
    "priority",
    "args",
    "kwargs",
    "tags",
    "idempotency_key",
    "attempt",
    "crashes",
    "snoozes",
    "fence",
    "worker_name",
    "worker_pid",
    "error_type",
    "error",
    "result",
    "progress_done",
    "progress_total",
    "progress_message",
    "progress_at",
    "checkpoint_seq",
    "checkpointed_at",
    "created_at",
    "run_at",
    "started_at",
    "finished_at",
    "deadline",
    "dead_letter_id",
    "replay_of",
    "replica_of",
    "breaker",
    "limit_key",
    "cancel_requested_at",
)
#: What :func:`record` reads.
RECORD = {dialect: f"{', '.join(_OF_RECORD)}, {SEEN_STATE[dialect]}" for dialect in DIALECTS}
_GET = {dialect: f"SELECT {RECORD[dialect]} FROM perdure_jobs WHERE id = :of_job" for dialect in DIALECTS}
#: Replays of a job that are told of: the newest.
_MOST = 100
_REPLAYS = {
    dialect: f"SELECT {RECORD[dialect]} FROM perdure_jobs WHERE replay_of = :of_job ORDER BY id DESC LIMIT {_MOST}"
    for dialect in DIALECTS
}

#: What :meth:`AttemptRecord.of` reads besides the number.
_OF_ATTEMPT = ("outcome", "worker", "started_at", "finished_at", "error_type", "error", "traceback", "worker_pid")
_ATTEMPTS = f"SELECT {', '.join(_OF_ATTEMPT)} FROM perdure_attempts WHERE job_id = :of_job ORDER BY number"
_OUTCOMES = {
    dialect: f"SELECT job_id, number, outcome FROM perdure_attempts WHERE {one_of(dialect, 'job_id', 'of_jobs')}"
    for dialect in DIALECTS
}

#: Jobs of a task that its mean duration is taken from.
_NEWEST = 200
# For PostgreSQL a range, which stays in the index's order; see :class:`perdure.ledger.conditions.exactly`.
_OF_TASK = {"sqlite": "task = :of_task", "postgresql": "task >= :of_task AND task <= :of_task"}
_MEAN_RUN = {
    dialect: f"""
    SELECT avg(finished_at - started_at) FROM (
        SELECT state, started_at, finished_at FROM perdure_jobs WHERE {of_task}
        ORDER BY task DESC, id DESC LIMIT {_NEWEST}
    ) AS newest WHERE state = '{JobState.SUCCEEDED}'
    """
    for dialect, of_task in _OF_TASK.items()
}


def get(connection: Where, job_id: str) -> JobRecord:
    """Return a job.

    Raises:
        JobNotFound: There is none of that id.
    """
    found = direct.rows(connection, _GET[connection.dialect.name], {"of_job": job_id})
    if not found:
        raise JobNotFound(f"no job {job_id!r} in the ledger. List them: perdure jobs list")
    return record(found[0])


def record(row: Sequence[Any]) -> JobRecord:
    """Return the record of a row that has :data:`RECORD`."""
    *values, seen_state = row
    return JobRecord.of({**dict(zip(_OF_RECORD, values, strict=True)), "seen_state": seen_state})


def replays_of(connection: Where, job_id: str) -> list[JobRecord]:
    """Return the newest replays of a job, the first one first."""
    rows = direct.rows(connection, _REPLAYS[connection.dialect.name], {"of_job": job_id})
    return [record(row) for row in reversed(rows)]


def attempts_of(connection: Where, job_id: str) -> list[AttemptRecord]:
    """Return a job's ended attempts, the first one first, numbered from 1.

    The ledger numbers them by their claims' fences, which have gaps: a claim that was given back left no attempt.
    """
    rows = direct.rows(connection, _ATTEMPTS, {"of_job": job_id})
    return [
        AttemptRecord.of({**dict(zip(_OF_ATTEMPT, row, strict=True)), "number": number})
        for number, row in enumerate(rows, 1)
    ]


def mean_run(connection: Where, task: str) -> float:
    """Return the seconds that the newest jobs of a task took that succeeded; 0 when there are none."""
    [(mean,)] = direct.rows(connection, _MEAN_RUN[connection.dialect.name], {"of_task": task})
    return float(mean or 0.0)


def outcomes_by_fence(connection: Where, job_ids: Collection[str]) -> dict[str, dict[int, str]]:
    """Return how each claim of some jobs ended that left an attempt, by the job's id and the claim's fence, for checks."""
    dialect, found = connection.dialect.name, dict[str, dict[int, str]]()
    for job_id, number, outcome in direct.rows(connection, _OUTCOMES[dialect], {"of_jobs": texts(dialect, job_ids)}):
        found.setdefault(job_id, {})[number] = outcome
    return found
