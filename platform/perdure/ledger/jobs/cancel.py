"""Cancelling: at once for a job that waits; for a running one a request that it meets at its next checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import counts, direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.ledger.jobs import before
from perdure.ledger.jobs.states import may
from perdure.model.events import JobEvent
from perdure.model.states import JobState, Transition, target
from perdure.model.text.storable import MAX_REASON, storable

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_RUNS = f"state = '{JobState.RUNNING}'"
_CANCEL = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET
        state = CASE WHEN {_RUNS} THEN state ELSE '{target(Transition.CANCEL)}' END,
        cancel_requested_at = coalesce(cancel_requested_at, {NOW[dialect]}), cancel_reason = :why,
        run_at = CASE WHEN {_RUNS} THEN run_at END, finished_at = CASE WHEN {_RUNS} THEN NULL ELSE {NOW[dialect]} END
    WHERE id = :of_job AND {may(Transition.CANCEL)}
    RETURNING state
    """
    for dialect in DIALECTS
}


def cancel(connection: Where, job_id: str, reason: str) -> tuple[JobState | None, JobEvent | None]:
    """Cancel a job, or ask it to stop when it runs.

    Returns:
        Its state, or None when it had ended before; and the event, when it is cancelled by this call.
    """
    job = before.locked(connection, job_id, Transition.CANCEL)
    if job is None:
        return None, None
    values = {"of_job": job_id, "why": storable(reason, MAX_REASON)}
    [(state,)] = direct.rows(connection, _CANCEL[connection.dialect.name], values)
    if state != JobState.CANCELLED:
        return JobState(state), None
    counts.add(connection, [counts.cancelled(job.task, job.bulkhead)])
    return JobState.CANCELLED, JobEvent.of_waiting(job, Transition.CANCEL, reason)
