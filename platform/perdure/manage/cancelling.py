"""Cancelling jobs, with their replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure.ledger import Ledger


#: Why a replica is cancelled whose job is.
OF_CANCELLED = "the job that asked for it was cancelled"


class Canceller:
    """Cancels jobs of one ledger.

    Args:
        ledger: Where the jobs are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def cancel(self, job_id: str, reason: str) -> bool:
        """Cancel a job, and its replicas if it has some; return False when it had ended before.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        self._ledger.jobs.get(job_id)
        state = self._ledger.jobs.cancel(job_id, reason)
        if state is JobState.CANCELLED:
            # A job that runs at this moment looks for itself before it asks or counts its replicas.
            self.cancel_replicas(job_id, reason)
        return state is not None

    def cancel_replicas(self, job_id: str, reason: str) -> None:
        """Cancel those replicas of a job that have not ended."""
        for replica in self._ledger.running.replicas_of(job_id):
            if not replica.state.is_final:
                self.cancel(replica.id, reason)
