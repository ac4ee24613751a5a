"""Undoing a cancel: a cancelled job waits again, with what it had kept. It is the same row."""

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

_RESTORE = {
    dialect: f"""
    UPDATE {HOT[dialect]} SET
        state = '{target(Transition.RESTORE)}', run_at = {NOW[dialect]}, queued_at = {NOW[dialect]}, finished_at = NULL,
        cancel_requested_at = NULL, cancel_reason = NULL, error_type = NULL, error = NULL, unknown_since = NULL
    WHERE id = :of_job AND {may(Transition.RESTORE)}
    """
    for dialect in DIALECTS
}


def restore(connection: Where, job_id: str, reason: str) -> JobEvent | None:
    """Have a cancelled job wait again; return the event, or None when it is not cancelled."""
    job = before.locked(connection, job_id, Transition.RESTORE)
    if job is None:
        return None
    direct.run(connection, _RESTORE[connection.dialect.name], {"of_job": job_id})
    return JobEvent.of_waiting(job, Transition.RESTORE, reason)
