"""Writing jobs: one statement for any number of them, and three for those of a task that have idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from perdure.errors import IdempotencyConflict
from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.ledger.jobs.states import SEEN_STATE
from perdure.model.lanes import lane_of
from perdure.model.new_job import NewJob, Submitted
from perdure.model.states import JobState
from perdure.system.tracing import CARRIED

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: What is written as it is given.
_GIVEN = {
    "id": "text",
    "task": "text",
    "bulkhead": "text",
    "lane": "text",
    "priority": "int",
    "args": "text",
    "kwargs": "text",
    "payload_digest": "text",
    "tags": "text",
    "idempotency_key": "text",
    "replay_of": "text",
    "deadline": "float8",
    "timeout": "float8",
    "replica_of": "text",
    "breaker": "text",
    "limit_key": "text",
}
#: What times are made of: an absolute one, a delay by the database's clock, or nothing for at once.
_TIMES = {"run_at": "float8", "delay": "float8", "ttl": "float8"}


#: When a job is made, which is its place in line: a microsecond after the one before it in the same statement. SQLite takes
#: those of one moment as they were written; PostgreSQL takes them as they lie, and new rows lie where old ones were. To
#: write a row takes longer than that: no place is left in the future, and those of the next statement are behind it.
_MADE_AT = {**NOW, "postgresql": f"{NOW['postgresql']} + (s.ordinality - 1) * CAST(1e-6 AS double precision)"}
#: Has PostgreSQL find that once for each row, and not wherever it is used: a tenth of what it takes to write one job.
_ONCE = {"sqlite": "", "postgresql": "OFFSET 0"}


def _insert(dialect: str, where: str = "true", order: str = "") -> str:
    # A job that is there already stays as it is: this is the repeat after a commit whose outcome was unknown.
    given, moment = ", ".join(_GIVEN), _MADE_AT[dialect]
    return f"""
    INSERT INTO perdure_jobs ({given}, state, created_at, run_at, queued_at, idempotency_expires_at)
    SELECT {given}, CASE WHEN starts_at > made_at THEN 'scheduled' ELSE 'queued' END, made_at,
        CASE WHEN starts_at > made_at THEN starts_at ELSE made_at END,
        CASE WHEN starts_at > made_at THEN NULL ELSE made_at END,
        CASE WHEN idempotency_key IS NOT NULL THEN made_at + ttl END
    FROM (
        SELECT {given}, ttl, {moment} AS made_at, coalesce(run_at, {moment} + delay, 0) AS starts_at
        FROM {rows_of(dialect, {**_GIVEN, **_TIMES}, numbered=True)} {_ONCE[dialect]}
    ) AS given
    WHERE {where} {order} ON CONFLICT DO NOTHING
    """


_INSERT = {dialect: _insert(dialect) for dialect in DIALECTS}
#: For the repeat itself: the job may have run and be in a partition by now, where its id is out of the key's sight.
_INSERT_AGAIN = {
    "sqlite": _INSERT["sqlite"],
    "postgresql": _insert("postgresql", "NOT EXISTS (SELECT 1 FROM perdure_jobs k WHERE k.id = given.id)"),
}
#: In a partition a key is out of the unique index's sight. A limit, so that PostgreSQL looks for each key by an index.
_NOBODY_HAS_IT = """
    (SELECT 1 FROM perdure_jobs k WHERE k.task = given.task AND k.idempotency_key = given.idempotency_key LIMIT 1) IS NULL
"""
# In one order everywhere: two submits of the same keys wait for each other and not each for the other.
_BY_KEY = 'ORDER BY given.idempotency_key COLLATE "C", given.made_at'
_INSERT_KEYED = {"sqlite": _INSERT["sqlite"], "postgresql": _insert("postgresql", _NOBODY_HAS_IT, _BY_KEY)}


def _of_keys(dialect: str, columns: str, where: str = "true") -> str:
    """Return the query of the jobs of a task that have one of some keys."""
    jobs = f"SELECT {columns} FROM perdure_jobs WHERE task = :of_task AND {where} AND idempotency_key"
    if dialect == "sqlite":
        return f"{jobs} IN (SELECT value FROM json_each(:of_keys))"
    # Key by key: by a list of them all of the task's jobs would be read where statistics say that there are none.
    return f"""
        SELECT held.* FROM unnest(CAST(:of_keys AS text[])) AS given(one)
        CROSS JOIN LATERAL ({jobs} = given.one OFFSET 0) AS held
    """


def _release_keys(dialect: str) -> str:
    is_over = f"idempotency_expires_at <= {NOW[dialect]}"
    held = _of_keys(dialect, "id", is_over)
    those = f"IN ({held})" if dialect == "sqlite" else f"= ANY(ARRAY({held}))"
    return f"UPDATE perdure_jobs SET idempotency_key = NULL WHERE id {those} AND {is_over}"


_RELEASE_KEYS = {dialect: _release_keys(dialect) for dialect in DIALECTS}
_HOLDERS = {
    dialect: _of_keys(dialect, f"idempotency_key, id, payload_digest, {SEEN_STATE[dialect]}") for dialect in DIALECTS
}
_OF_TAG = {"job_id": "text", "tag": "text", "value": "text"}
_TAG = {
    dialect: f"INSERT INTO perdure_job_tags (job_id, tag, value) SELECT job_id, tag, value "
    f"FROM {rows_of(dialect, _OF_TAG)} WHERE true ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}


def in_one_statement(new: Sequence[NewJob]) -> bool:
    """Return whether writing these jobs needs no transaction around it."""
    return all(job.idempotency_key is None and (not job.tags or CARRIED.issuperset(job.tags)) for job in new)


def submit(connection: Where, new: Sequence[NewJob], *, again: bool = False) -> list[Submitted]:
    """Write jobs and return what became of each, in their order.

    Args:
        connection: Where to write.
        new: The jobs.
        again: Whether they may be written already, by a commit whose outcome is unknown.

    Raises:
        IdempotencyConflict: A key belongs to a job with other arguments; nothing is written.
    """
    plain = [job for job in new if job.idempotency_key is None]
    if plain:
        _write(connection, plain, _INSERT_AGAIN if again else _INSERT)
    keyed: dict[str, Submitted] = {}
    for task in sorted({job.task for job in new if job.idempotency_key is not None}):
        keyed |= _submit_keyed(connection, task, [job for job in new if job.idempotency_key and job.task == task])
    tagged = [job for job in new if job.tags and (job.id not in keyed or not keyed[job.id].deduplicated)]
    tags = [row for job in tagged for row in _tag_rows(job)]
    if tags:
        direct.run(connection, _TAG[connection.dialect.name], encoded(tags))
    return [keyed.get(job.id) or Submitted(job.id, job.first_state) for job in new]


def _write(connection: Where, new: Sequence[NewJob], statement: Mapping[str, str]) -> None:
    direct.run(connection, statement[connection.dialect.name], encoded([_row(job) for job in new]))


def _submit_keyed(connection: Where, task: str, new: Sequence[NewJob]) -> dict[str, Submitted]:
    """Write jobs of one task that have keys, and return by their ids which jobs the keys belong to."""
    dialect, keys = connection.dialect.name, [job.idempotency_key for job in new]
    names = {"of_task": task, "of_keys": msgspec.json.encode(keys).decode() if dialect == "sqlite" else keys}
    direct.run(connection, _RELEASE_KEYS[dialect], names)
    _write(connection, new, _INSERT_KEYED)
    holders = {key: _Holder(*row) for key, *row in direct.rows(connection, _HOLDERS[dialect], names)}
    for job in new:
        holder = holders[job.idempotency_key]
        if holder.payload_digest != job.payload_digest:
            raise IdempotencyConflict(task, str(job.idempotency_key), holder.id)
    return {job.id: _given_to(holders[job.idempotency_key], job) for job in new}


class _Holder(NamedTuple):
    """The job that a key belongs to."""

    id: str
    payload_digest: str
    state: str


def _given_to(holder: _Holder, job: NewJob) -> Submitted:
    return Submitted(holder.id, JobState(holder.state), deduplicated=holder.id != job.id)


def _row(job: NewJob) -> dict[str, Any]:
    row = {
        "id": job.id,
        "task": job.task,
        "bulkhead": job.bulkhead,
        "lane": lane_of(job.task, limit_key=job.limit_key, breaker=job.breaker, is_replica=job.replica_of is not None),
        "priority": job.priority,
        "args": job.args,
        "kwargs": job.kwargs,
        "payload_digest": job.payload_digest,
    }
    if job.tags:
        row["tags"] = msgspec.json.encode(dict(job.tags)).decode()
    if job.idempotency_key is not None:
        row |= {"idempotency_key": job.idempotency_key, "ttl": job.idempotency_ttl}
    for name in _SELDOM:
        if (value := getattr(job, name)) is not None:
            row[name] = value
    return row


_SELDOM = ("run_at", "delay", "replay_of", "deadline", "timeout", "replica_of", "breaker", "limit_key")


def _tag_rows(job: NewJob) -> list[Mapping[str, str]]:
    return [{"job_id": job.id, "tag": tag, "value": value} for tag, value in (job.tags or {}).items() if tag not in CARRIED]
