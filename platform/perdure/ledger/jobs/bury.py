"""Jobs that die before they run: their deadline has passed, or no worker knows their task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from perdure.ledger import counts, direct
from perdure.ledger.dead_letters import writing
from perdure.ledger.dialects import DIALECTS, HOT, NOW, SKIP_LOCKED, one_of, texts
from perdure.ledger.jobs.before import Before
from perdure.ledger.jobs.states import may, state_is
from perdure.model.events import JobEvent
from perdure.model.ids import new_id
from perdure.model.states import WAITING_STATES, DeadReason, Transition, target
from perdure.model.text.fingerprint import fingerprint

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_WAITS = f"finished_at IS NULL AND {state_is(*sorted(WAITING_STATES))}"

#: Jobs that wait although the moment after which they must not run has passed.
EXPIRED = {dialect: f"deadline IS NOT NULL AND deadline <= {NOW[dialect]} AND {_WAITS}" for dialect in DIALECTS}

#: Jobs that wait for a worker that knows their task for longer than ``ttl`` seconds.
UNKNOWN = {
    dialect: f"unknown_since IS NOT NULL AND unknown_since <= {NOW[dialect]} - :ttl AND {_WAITS}" for dialect in DIALECTS
}


def _lock(where: dict[str, str]) -> dict[str, str]:
    columns = ", ".join((*Before._fields, "args", "kwargs"))
    return {
        dialect: f"SELECT {columns} FROM {HOT[dialect]} WHERE {where[dialect]} LIMIT :page {SKIP_LOCKED[dialect]}"
        for dialect in DIALECTS
    }


_LOCK_EXPIRED, _LOCK_UNKNOWN = _lock(EXPIRED), _lock(UNKNOWN)
_DIE = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET
        state = '{target(Transition.DIE)}', finished_at = {NOW[dialect]}, run_at = NULL, dead_letter_id = :letter,
        error_type = :error_type, error = :error
    WHERE id = :of_job AND {may(Transition.DIE)}
    """
    for dialect in DIALECTS
}

#: The head of a bulkhead's line: what waits longest. A task that nobody knows comes to be there.
_HEAD = {
    dialect: f"""
    SELECT id, task, unknown_since FROM {HOT[dialect]} WHERE bulkhead = :in_bulkhead AND run_at <= {NOW[dialect]}
    ORDER BY lane, priority, run_at LIMIT :page
    """
    for dialect in DIALECTS
}
_NOTE = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET unknown_since = {NOW[dialect]}
    WHERE {one_of(dialect, "id", "ids")} AND run_at IS NOT NULL AND unknown_since IS NULL
    """
    for dialect in DIALECTS
}
_FORGET = {
    dialect: f"UPDATE {HOT[dialect]} SET unknown_since = NULL WHERE {one_of(dialect, 'id', 'ids')}" for dialect in DIALECTS
}


def bury_expired(connection: Where, page: int, release: str | None = None) -> list[JobEvent]:
    """Make dead letters of waiting jobs whose deadline has passed; at most ``page`` of them."""
    rows = direct.rows(connection, _LOCK_EXPIRED[connection.dialect.name], {"page": page})
    error = "its deadline passed before it could run"
    return _buried(connection, rows, DeadReason.EXPIRED, "DeadlinePassed", error, release)


def bury_unknown(connection: Where, ttl: float, page: int, release: str | None = None) -> list[JobEvent]:
    """Make dead letters of waiting jobs whose task no worker has known for ``ttl`` seconds; at most ``page`` of them."""
    rows = direct.rows(connection, _LOCK_UNKNOWN[connection.dialect.name], {"ttl": ttl, "page": page})
    error = f"no worker knew its task for {ttl:g} s; deploy a release that does, and replay it"
    return _buried(connection, rows, DeadReason.UNKNOWN_TASK, "UnknownTask", error, release)


def note_unknown(connection: Where, bulkhead: str, known: Collection[str], page: int) -> int:
    """Note which jobs at the head of a bulkhead's line are of a task that a worker does not know; return how many are new.

    Those that it does know are known after all: a worker of an older release has met them, and they wait for one of this.

    Args:
        connection: Where to do it.
        bulkhead: What the worker serves.
        known: The tasks that it knows.
        page: How far to look.
    """
    dialect = connection.dialect.name
    head = direct.rows(connection, _HEAD[dialect], {"in_bulkhead": bulkhead, "page": page})
    unknown = [job_id for job_id, task, since in head if task not in known and since is None]
    if unknown:
        direct.run(connection, _NOTE[dialect], {"ids": texts(dialect, unknown)})
    known_after_all = [job_id for job_id, task, since in head if task in known and since is not None]
    if known_after_all:
        direct.run(connection, _FORGET[dialect], {"ids": texts(dialect, known_after_all)})
    return len(unknown)


def _buried(
    connection: Where, rows: Sequence[Any], reason: DeadReason, error_type: str, error: str, release: str | None
) -> list[JobEvent]:
    found = [(Before(*row), args, kwargs) for *row, args, kwargs in rows]
    described = {"reason": reason.value, "error_type": error_type, "error": error}
    writing.write(connection, [_bury(connection, *each, described) for each in found], release)
    of_each = Counter((job.task, job.bulkhead) for job, *_ in found)
    counts.add(connection, [counts.died(*where, reason.value, many) for where, many in of_each.items()])
    fault = {"death": reason, "error_type": error_type}
    return [JobEvent.of_waiting(job, Transition.DIE, error, **fault) for job, *_ in found]


def _bury(connection: Where, job: Before, args: str, kwargs: str, described: dict[str, str]) -> dict[str, Any]:
    """Let a job die, and return its letter."""
    letter = new_id()
    direct.run(connection, _DIE[connection.dialect.name], {"of_job": job.id, "letter": letter, **described})
    of_job = {"job_id": job.id, "task": job.task, "bulkhead": job.bulkhead, "args": args, "kwargs": kwargs}
    same = fingerprint(job.task, described["error_type"], described["reason"], [])
    return {"id": letter, **of_job, **writing.of_job(connection, job.id), **described, "fingerprint": same}
