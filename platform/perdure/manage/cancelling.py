"""Cancelling jobs, with their replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.events import JobEvent
from perdure.model.states import JobState, Transition

if TYPE_CHECKING:
    from perdure.broker.flower_events import FlowerEvents
    from perdure.ledger import Ledger
    from perdure.model.events import EventBus


class Canceller:
    """Cancels jobs of one ledger.

    Args:
        ledger: Where the jobs are.
        events: Told of each job that is cancelled at once.
        flower_events: Likewise.
    """

    def __init__(self, ledger: Ledger, events: EventBus, flower_events: FlowerEvents) -> None:
        self._ledger = ledger
        self._events = events
        self._flower_events = flower_events

    def cancel(self, job_id: str, reason: str) -> bool:
        """Cancel a job, and its replicas if it has some; return False when it had ended before.

        Raises:
            JobNotFound: The ledger has no job of that id.
        """
        before = self._ledger.jobs.get(job_id)
        state = self._ledger.jobs.cancel(job_id, reason)
        if state is JobState.CANCELLED:
            names = (job_id, before.task, before.bulkhead)
            event = JobEvent(*names, Transition.CANCEL, before.state, state, before.attempt, reason)
            self._events.emit(event)
            self._flower_events.send(event, before.worker)
            # A job that runs at this moment looks for itself before it asks or counts its replicas.
            self.cancel_replicas(job_id, reason)
        return state is not None

    def cancel_replicas(self, job_id: str, reason: str) -> None:
        """Cancel those replicas of a job that have not ended."""
        for replica in self._ledger.running.replicas_of(job_id):
            if not replica.state.is_final:
                self.cancel(replica.id, reason)
