"""A waiting job as it was before it is changed: its event says where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, FOR_UPDATE, HOT
from perdure.ledger.jobs.states import may
from perdure.model.states import Transition

if TYPE_CHECKING:
    from perdure.ledger.direct import Where


class Before(NamedTuple):
    """What :meth:`perdure.model.events.JobEvent.of_waiting` reads of a job."""

    id: str
    task: str
    bulkhead: str
    state: str
    attempt: int
    worker_name: str | None


_OF = {
    (dialect, transition): f"SELECT {', '.join(Before._fields)} FROM {HOT[dialect]} "
    f"WHERE id = :of_job AND {may(transition)} {FOR_UPDATE[dialect]}"
    for dialect in DIALECTS
    for transition in Transition
}


def locked(connection: Where, job_id: str, transition: Transition) -> Before | None:
    """Return a job to which a transition may happen, locked until the transaction ends; None when there is no such job."""
    found = direct.rows(connection, _OF[connection.dialect.name, transition], {"of_job": job_id})
    return Before(*found[0]) if found else None
