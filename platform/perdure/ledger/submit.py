"""Writing jobs: one statement for any number of them, and one for each that has an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, null, select, update

from perdure.errors import IdempotencyConflict
from perdure.ledger.conditions import DIALECTS, insert_ignoring, state_is
from perdure.ledger.now import now
from perdure.ledger.records import NewJob, Submitted
from perdure.ledger.schema import job_tags, jobs
from perdure.states import JobState

_PLAIN = ("id", "task", "bulkhead", "args", "kwargs", "payload_digest", "priority", "tags", "idempotency_key")
_MORE = ("replay_of", "deadline", "timeout", "replica_of", "breaker", "limit_key")

#: The moment from which the job may run: an absolute time, a delay by the database's clock, or nothing for at once.
_RUN_AT: ColumnElement[float] = func.coalesce(bindparam("at", None), now() + bindparam("delay", None))
_IS_LATER = now() < _RUN_AT
#: Whoever submits a job that a limit bounds sends no ticket: the dispatcher does when there is room.
_IS_FOR_NOW = and_(
    bindparam("at", None).is_(None),
    bindparam("delay", None).is_(None),
    bindparam("limit_key", None, type_=jobs.c.limit_key.type).is_(None),
)

_VALUES: dict[str, Any] = {
    **{name: bindparam(name) for name in (*_PLAIN, *_MORE)},
    "state": case((_IS_LATER, JobState.SCHEDULED.value), else_=JobState.QUEUED.value),
    "created_at": now(),
    "run_at": case((_IS_LATER, _RUN_AT), else_=null()),
    "queued_at": case((_IS_LATER, null()), else_=now()),
    # Taken as ticketed before the ticket is out: a failed publish takes it back, a lost one is found by reconciliation.
    # Whoever submits for later sends none, also when later turns out to be now.
    "ticketed_at": case((_IS_FOR_NOW, now()), else_=null()),
    "idempotency_expires_at": case((bindparam("idempotency_key").is_not(None), now() + bindparam("ttl")), else_=null()),
}

#: A job that is there already stays as it is: this is the repeat after a commit whose outcome was unknown.
_INSERT = {dialect: insert_ignoring(jobs, dialect).values(_VALUES) for dialect in DIALECTS}

_RELEASE_KEY = (
    update(jobs)
    .where(jobs.c.task == bindparam("of_task"), jobs.c.idempotency_key == bindparam("of_key"))
    .where(jobs.c.idempotency_expires_at <= now())
    .values(idempotency_key=null())
)

_HOLDER = select(jobs.c.id, jobs.c.state, jobs.c.payload_digest).where(
    and_(jobs.c.task == bindparam("of_task"), jobs.c.idempotency_key == bindparam("of_key"))
)


def in_one_statement(new: Sequence[NewJob]) -> bool:
    """Return whether writing these jobs needs no transaction around it."""
    return len(new) == 1 and new[0].idempotency_key is None and not new[0].tags


def submit(connection: Connection, new: Sequence[NewJob]) -> list[Submitted]:
    """Write jobs and return what became of each, in their order.

    Raises:
        IdempotencyConflict: A key belongs to a job with other arguments; nothing is written.
    """
    plain = [job for job in new if job.idempotency_key is None]
    if plain:
        rows = [_parameters(job) for job in plain]
        connection.execute(_INSERT[connection.dialect.name], rows if len(rows) > 1 else rows[0])
    keyed = {job.id: _submit_keyed(connection, job) for job in new if job.idempotency_key is not None}
    tags = [row for job in new for row in _tag_rows(job) if job.id not in keyed or not keyed[job.id].deduplicated]
    if tags:
        connection.execute(insert_ignoring(job_tags, connection.dialect.name), tags)
    return [keyed.get(job.id) or Submitted(job.id, _expected_state(job)) for job in new]


def depth(connection: Connection, bulkhead: str, bound: int) -> int:
    """Return how many jobs wait in a bulkhead, counting no further than ``bound``."""
    waiting = select(jobs.c.id).where(jobs.c.bulkhead == bulkhead, state_is(JobState.QUEUED)).limit(bound).subquery()
    return connection.execute(select(func.count()).select_from(waiting)).scalar_one()


def _submit_keyed(connection: Connection, job: NewJob) -> Submitted:
    names = {"of_task": job.task, "of_key": job.idempotency_key}
    connection.execute(_RELEASE_KEY, names)
    connection.execute(_INSERT[connection.dialect.name], _parameters(job))
    holder = connection.execute(_HOLDER, names).one()
    if holder.payload_digest != job.payload_digest:
        raise IdempotencyConflict(job.task, str(job.idempotency_key), holder.id)
    return Submitted(holder.id, JobState(holder.state), deduplicated=holder.id != job.id)


def _parameters(job: NewJob) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in (*_PLAIN, *_MORE)}
    tags = msgspec.json.encode(dict(job.tags)).decode() if job.tags else None
    return {**values, "tags": tags, "at": job.run_at, "delay": job.delay, "ttl": job.idempotency_ttl}


def _tag_rows(job: NewJob) -> list[Mapping[str, str]]:
    return [{"job_id": job.id, "tag": tag, "value": value} for tag, value in (job.tags or {}).items()]


def _expected_state(job: NewJob) -> JobState:
    # A job with a run_at that has passed is queued by the database and reported as scheduled here until refreshed.
    return JobState.SCHEDULED if job.delay or job.run_at is not None else JobState.QUEUED
