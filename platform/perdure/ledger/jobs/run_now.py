"""Running a job now that waits for its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, HOT, NOW
from perdure.ledger.jobs import before
from perdure.ledger.jobs.states import may
from perdure.model.events import JobEvent
from perdure.model.states import Transition, target

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_BRING_FORWARD = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET run_at = {NOW[dialect]}, queued_at = {NOW[dialect]}, state = '{target(Transition.DUE)}'
    WHERE id = :of_job AND {may(Transition.DUE)} AND run_at > {NOW[dialect]} RETURNING id
    """
    for dialect in DIALECTS
}


def bring_forward(connection: Where, job_id: str) -> JobEvent | None:
    """Make a scheduled or retrying job due; return the event, or None when it does not wait for a time."""
    job = before.locked(connection, job_id, Transition.DUE)
    if job is None or not direct.rows(connection, _BRING_FORWARD[connection.dialect.name], {"of_job": job_id}):
        return None
    return JobEvent.of_waiting(job, Transition.DUE)
