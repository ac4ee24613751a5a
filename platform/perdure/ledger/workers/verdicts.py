"""What is said of workers besides their states: among their events, under their names, as long as those are remembered."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, func, select, update

from perdure.ledger.schema import worker_events, workers
from perdure.ledger.workers.events import record
from perdure.model.worker_health import Verdict, WorkerEvent, WorkerState


def _said(name: ColumnElement[str] | str, verdict: Verdict) -> ColumnElement[bool]:
    return and_(worker_events.c.worker_name == name, worker_events.c.target == verdict.value)


def votes_lost(name: ColumnElement[str] | str) -> ScalarSelect[int]:
    """Return the query of how often a worker has been outvoted since it was last trusted."""
    trusted = select(func.max(worker_events.c.id)).where(_said(name, Verdict.TRUSTED)).correlate(workers)
    since = worker_events.c.id > func.coalesce(trusted.scalar_subquery(), "")
    lost = select(func.count(worker_events.c.id)).where(_said(name, Verdict.OUTVOTED), since)
    return lost.correlate(workers).scalar_subquery()


#: Why a job has declared the node of a worker unfit, or null.
UNFIT = (
    select(func.max(worker_events.c.reason))
    .where(_said(workers.c.name, Verdict.UNFIT), worker_events.c.worker_id == workers.c.id)
    .scalar_subquery()
)


def say(connection: Connection, name: str, verdict: Verdict, reason: str) -> WorkerEvent | None:
    """Write a verdict on a worker; return its event, or None when the worker is forgotten or the same was said before.

    Args:
        connection: A connection in a transaction.
        name: The worker's name.
        verdict: What is said.
        reason: Why, in words; a repeat is told by them.
    """
    newest = select(workers).where(workers.c.name == name).order_by(workers.c.started_at.desc()).limit(1)
    row = connection.execute(newest.with_for_update()).one_or_none()
    again = select(worker_events.c.id).where(_said(name, verdict), worker_events.c.reason == reason).limit(1)
    if row is None or connection.execute(again).first() is not None:
        return None
    names = (row.id, row.name, row.bulkhead)
    return record(connection, *names, source=row.state, target=verdict.value, reason=reason, silence=None)


def declare_unfit(connection: Connection, worker_id: str, reason: str) -> WorkerEvent | None:
    """Write that a worker's node is unfit and that it takes no more jobs; None when it is known, or not live any more."""
    live = workers.c.state.in_([state.value for state in WorkerState if state.is_live])
    changed = update(workers).where(workers.c.id == worker_id, live).values(draining=True).returning(workers)
    row = connection.execute(changed).one_or_none()
    known = select(worker_events.c.id).where(_said("" if row is None else row.name, Verdict.UNFIT))
    if row is None or connection.execute(known.where(worker_events.c.worker_id == worker_id).limit(1)).first():
        return None
    names = (row.id, row.name, row.bulkhead)
    return record(connection, *names, source=row.state, target=Verdict.UNFIT.value, reason=reason, silence=None)


def times_outvoted(connection: Connection, name: str) -> int:
    """Return how often a worker has been outvoted since it was last trusted."""
    return connection.execute(select(votes_lost(name))).scalar_one()
