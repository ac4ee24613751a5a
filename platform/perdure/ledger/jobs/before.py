"""A waiting job as it was before it is changed: its event says where it came from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from perdure.ledger.conditions import may
from perdure.ledger.schema import jobs
from perdure.model.states import Transition

#: What :meth:`perdure.model.events.JobEvent.of_waiting` reads of a row.
NAMES = tuple(jobs.c[name] for name in ("id", "task", "bulkhead", "state", "attempt", "worker_name"))

_OF = {
    transition: select(*NAMES).where(jobs.c.id == bindparam("of_job"), may(transition, by_index=False)).with_for_update()
    for transition in Transition
}


def locked(connection: Connection, job_id: str, transition: Transition) -> Any | None:
    """Return a job to which a transition may happen, locked until the transaction ends; None when there is no such job."""
    return connection.execute(_OF[transition], {"of_job": job_id}).one_or_none()
