"""How long it took until a job whose process had died was run again."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from perdure.ledger.schema import attempts, worker_events
from perdure.model.metrics import RECOVERY, Count
from perdure.model.records import Claim
from perdure.model.states import Outcome
from perdure.model.worker_health import WorkerState

_BEFORE = (
    select(attempts.c.outcome, attempts.c.worker, attempts.c.started_at, attempts.c.finished_at)
    .where(attempts.c.job_id == bindparam("of_job"), attempts.c.number < bindparam("of_fence"))
    .order_by(attempts.c.number.desc())
    .limit(1)
)
#: How long a worker had been silent that was found dead while it ran an attempt.
_SILENCE = (
    select(worker_events.c.silence)
    .where(worker_events.c.worker_name == bindparam("of_worker"), worker_events.c.target == WorkerState.FAILED.value)
    .where(worker_events.c.at >= bindparam("began"), worker_events.c.at <= bindparam("ended"))
    .order_by(worker_events.c.id.desc())
    .limit(1)
)


def of(connection: Connection, claim: Claim) -> list[Count]:
    """Return the count of a recovery: from the last sign of life of the process that ran the attempt before, if it died.

    Args:
        connection: Where to read.
        claim: The attempt that ran after it.
    """
    row = connection.execute(_BEFORE, {"of_job": claim.job_id, "of_fence": claim.fence}).one_or_none()
    if row is None or row.outcome != Outcome.CRASHED:
        return []
    of_worker = {"of_worker": row.worker, "began": row.started_at, "ended": row.finished_at}
    silence = connection.execute(_SILENCE, of_worker).scalar_one_or_none() or 0.0
    seconds = max(0.0, claim.started_at - row.finished_at + silence)
    return [Count(RECOVERY.name, (claim.bulkhead,), 1, seconds, RECOVERY.place(seconds))]
