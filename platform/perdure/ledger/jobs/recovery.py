"""How long it took until a job whose process had died was run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger import direct
from perdure.model.metrics import RECOVERY, Count
from perdure.model.records import Claim
from perdure.model.states import Outcome
from perdure.model.worker_health import WorkerState

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_BEFORE = """
    SELECT outcome, worker, started_at, finished_at FROM perdure_attempts
    WHERE job_id = :of_job AND number < :of_fence ORDER BY number DESC LIMIT 1
"""
#: How long a worker had been silent that was found dead while it ran an attempt.
_SILENCE = f"""
    SELECT silence FROM perdure_worker_events
    WHERE worker_name = :of_worker AND target = '{WorkerState.FAILED}' AND at >= :began AND at <= :ended
    ORDER BY id DESC LIMIT 1
"""


def of(connection: Where, claim: Claim) -> list[Count]:
    """Return the count of a recovery: from the last sign of life of the process that ran the attempt before, if it died.

    Args:
        connection: Where to read.
        claim: The attempt that ran after it.
    """
    of_claim = {"of_job": claim.job_id, "of_fence": claim.fence}
    for outcome, worker, began, ended in direct.rows(connection, _BEFORE, of_claim):
        if outcome == Outcome.CRASHED:
            of_worker = {"of_worker": worker, "began": began, "ended": ended}
            [(silence,)] = direct.rows(connection, _SILENCE, of_worker) or [(None,)]
            seconds = max(0.0, claim.started_at - ended + (silence or 0.0))
            return [Count(RECOVERY.name, (claim.bulkhead,), 1, seconds, RECOVERY.place(seconds))]
    return []
