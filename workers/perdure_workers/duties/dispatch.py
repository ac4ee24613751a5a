"""Duty: send the tickets of jobs whose time has come, and of queued jobs that have none."""

from __future__ import annotations

from typing import ClassVar

from perdure.events import JobEvent
from perdure.states import JobState, Transition
from perdure_workers.duties.duty import Duty

#: Jobs that one run moves.
PAGE = 500


class Dispatch(Duty):
    """Moves due jobs to ``queued`` and sends the tickets that are missing."""

    name: ClassVar[str] = "dispatch"

    @property
    def period(self) -> float:
        """The setting ``dispatch_interval``."""
        return self.app.settings.dispatch_interval

    def run_once(self) -> int:
        """Send a page of tickets and return how many went out."""
        due = self.app.ledger.queue_due(PAGE)
        for job in due:
            event = JobEvent(job.id, job.task, job.bulkhead, Transition.DUE, None, JobState.QUEUED)
            self.app.events.emit(event)
        tickets = [*due, *self.app.ledger.take_unticketed(PAGE)]
        return len(tickets) - len(self.app.submitter.send_tickets(tickets))
