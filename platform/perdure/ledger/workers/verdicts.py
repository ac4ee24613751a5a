"""What is said of workers besides their states: among their events, under their names, as long as those are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE
from perdure.ledger.workers.events import record
from perdure.model.worker_health import Verdict, WorkerEvent, WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


def _said(name: str, verdict: Verdict) -> str:
    return f"FROM perdure_worker_events e WHERE e.worker_name = {name} AND e.target = '{verdict}'"


def votes_lost(name: str) -> str:
    """Return the query of how often a worker, whose name an expression is, has been outvoted since it was last trusted."""
    trusted = f"SELECT max(e.id) {_said(name, Verdict.TRUSTED)}"
    return f"(SELECT count(*) {_said(name, Verdict.OUTVOTED)} AND e.id > coalesce(({trusted}), ''))"


#: Why a job has declared the node of a worker unfit, or null.
UNFIT = f"""(
    SELECT max(e.reason) {_said("perdure_workers.name", Verdict.UNFIT)} AND e.worker_id = perdure_workers.id
)"""

_NEWEST = {
    dialect: f"""
    SELECT id, name, bulkhead, state FROM perdure_workers WHERE name = :name
    ORDER BY started_at DESC LIMIT 1 {FOR_UPDATE[dialect]}
    """
    for dialect in DIALECTS
}
_SAID_BEFORE = {verdict: f"SELECT 1 {_said(':name', verdict)} AND e.reason = :reason LIMIT 1" for verdict in Verdict}
_LIVE = ", ".join(f"'{state}'" for state in WorkerState if state.is_live)
_DRAIN = f"""
    UPDATE perdure_workers SET draining = TRUE WHERE id = :of_worker AND state IN ({_LIVE})
    RETURNING id, name, bulkhead, state
"""
_IS_UNFIT = f"SELECT 1 {_said(':name', Verdict.UNFIT)} AND e.worker_id = :of_worker LIMIT 1"
_TIMES_OUTVOTED = f"SELECT {votes_lost(':name')}"


def say(connection: Where, name: str, verdict: Verdict, reason: str) -> WorkerEvent | None:
    """Write a verdict on a worker; return its event, or None when the worker is forgotten or the same was said before.

    Args:
        connection: A connection in a transaction.
        name: The worker's name.
        verdict: What is said.
        reason: Why, in words; a repeat is told by them.
    """
    said = {"name": name, "reason": reason}
    newest = direct.rows(connection, _NEWEST[connection.dialect.name], said)
    if not newest or direct.rows(connection, _SAID_BEFORE[verdict], said):
        return None
    [(*names, state)] = newest
    return record(connection, *names, source=state, target=verdict.value, reason=reason, silence=None)


def declare_unfit(connection: Where, worker_id: str, reason: str) -> WorkerEvent | None:
    """Write that a worker's node is unfit and that it takes no more jobs; None when it is known, or not live any more."""
    of_worker = {"of_worker": worker_id}
    for *names, state in direct.rows(connection, _DRAIN, of_worker):
        if not direct.rows(connection, _IS_UNFIT, {**of_worker, "name": names[1]}):
            return record(connection, *names, source=state, target=Verdict.UNFIT.value, reason=reason, silence=None)
    return None


def times_outvoted(connection: Where, name: str) -> int:
    """Return how often a worker has been outvoted since it was last trusted."""
    [(times,)] = direct.rows(connection, _TIMES_OUTVOTED, {"name": name})
    return int(times)
