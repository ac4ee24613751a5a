"""Jobs that die before they run: their deadline has passed, or no worker knows their task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, null, select, update

from perdure.ledger import counts
from perdure.ledger.conditions import may
from perdure.ledger.dead_letters import writing
from perdure.ledger.hot import hot
from perdure.ledger.jobs import before
from perdure.ledger.now import now
from perdure.ledger.schema import jobs
from perdure.model.events import JobEvent
from perdure.model.ids import new_id
from perdure.model.states import WAITING_STATES, DeadReason, Transition, target
from perdure.model.text.fingerprint import fingerprint

#: Computed, so that SQLite looks by deadline and not through all that waits: without statistics it prefers states.
_STATE: ColumnElement[str] = jobs.c.state.concat("")

#: Jobs that wait although the moment after which they must not run has passed.
EXPIRED = (
    jobs.c.deadline.is_not(None),
    jobs.c.finished_at.is_(None),
    jobs.c.deadline <= now(),
    _STATE.in_(sorted(WAITING_STATES)),
)

#: Jobs that wait for a worker that knows their task for longer than ``ttl`` seconds.
UNKNOWN = (
    jobs.c.unknown_since.is_not(None),
    jobs.c.finished_at.is_(None),
    jobs.c.unknown_since <= now() - bindparam("ttl"),
    _STATE.in_(sorted(WAITING_STATES)),
)

_COLUMNS = tuple(jobs.c[name] for name in (*before.Before._fields, "args", "kwargs"))

#: The head of a bulkhead's line: what waits longest. A task that nobody knows comes to be there.
_HEAD = hot(
    select(jobs.c.id, jobs.c.task, jobs.c.unknown_since)
    .where(jobs.c.bulkhead == bindparam("in_bulkhead"), jobs.c.run_at <= now())
    .order_by(jobs.c.lane, jobs.c.priority, jobs.c.run_at)
    .limit(bindparam("page"))
)


def bury_expired(connection: Connection, page: int, release: str | None = None) -> list[JobEvent]:
    """Make dead letters of waiting jobs whose deadline has passed; at most ``page`` of them."""
    rows = _lock(connection, EXPIRED, {}, page)
    error = "its deadline passed before it could run"
    return _buried(connection, rows, DeadReason.EXPIRED, "DeadlinePassed", error, release)


def bury_unknown(connection: Connection, ttl: float, page: int, release: str | None = None) -> list[JobEvent]:
    """Make dead letters of waiting jobs whose task no worker has known for ``ttl`` seconds; at most ``page`` of them."""
    rows = _lock(connection, UNKNOWN, {"ttl": ttl}, page)
    error = f"no worker knew its task for {ttl:g} s; deploy a release that does, and replay it"
    return _buried(connection, rows, DeadReason.UNKNOWN_TASK, "UnknownTask", error, release)


def note_unknown(connection: Connection, bulkhead: str, known: Collection[str], page: int) -> int:
    """Note which jobs at the head of a bulkhead's line are of a task that a worker does not know; return how many are new.

    Those that it does know are known after all: a worker of an older release has met them, and they wait for one of this.

    Args:
        connection: Where to do it.
        bulkhead: What the worker serves.
        known: The tasks that it knows.
        page: How far to look.
    """
    head = connection.execute(_HEAD, {"in_bulkhead": bulkhead, "page": page}).all()
    unknown = [row.id for row in head if row.task not in known and row.unknown_since is None]
    if unknown:
        noted = update(jobs).where(jobs.c.id.in_(unknown), jobs.c.run_at.is_not(None), jobs.c.unknown_since.is_(None))
        connection.execute(noted.values(unknown_since=now()))
    known_after_all = [row.id for row in head if row.task in known and row.unknown_since is not None]
    if known_after_all:
        connection.execute(update(jobs).where(jobs.c.id.in_(known_after_all)).values(unknown_since=null()))
    return len(unknown)


def _lock(connection: Connection, where: Sequence[ColumnElement[bool]], values: dict[str, Any], page: int) -> Sequence[Any]:
    query = hot(select(*_COLUMNS)).where(*where).limit(page).with_for_update(skip_locked=True)
    return connection.execute(query, values).all()


def _bury(connection: Connection, row: Any, reason: DeadReason, error_type: str, error: str) -> dict[str, Any]:
    letter = new_id()
    described = {"error_type": error_type, "error": error}
    died = {"state": target(Transition.DIE).value, "finished_at": now(), "run_at": null(), "dead_letter_id": letter}
    connection.execute(update(jobs).where(jobs.c.id == row.id, may(Transition.DIE)).values(**died, **described))
    fault = {"reason": reason.value, "fingerprint": fingerprint(row.task, error_type, reason.value, [])}
    of_job = {"job_id": row.id, **{name: getattr(row, name) for name in ("task", "bulkhead", "args", "kwargs")}}
    return {"id": letter, **of_job, **writing.of_job(connection, row.id), **fault, **described}


def _buried(
    connection: Connection, rows: Sequence[Any], reason: DeadReason, error_type: str, error: str, release: str | None
) -> list[JobEvent]:
    writing.write(connection, [_bury(connection, row, reason, error_type, error) for row in rows], release)
    of_each = Counter((row.task, row.bulkhead) for row in rows)
    counts.add(connection, [counts.died(*where, reason.value, many) for where, many in of_each.items()])
    fault = {"death": reason, "error_type": error_type}
    return [JobEvent.of_waiting(row, Transition.DIE, error, **fault) for row in rows]
