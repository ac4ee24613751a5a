"""Duty: send the tickets of jobs whose time has come, and of queued jobs that have none."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import ClassVar

from perdure import Perdure
from perdure.events import JobEvent
from perdure.fork_gate import gate
from perdure.guards import park
from perdure.ledger.put_off import Behind, Delay
from perdure.ledger.records import Ticketed
from perdure.states import JobState, Transition
from perdure_workers.duties.duty import Duty

#: Jobs that one run moves.
PAGE = 500


class Dispatch(Duty):
    """Moves due jobs to ``queued`` and sends the tickets that are missing."""

    name: ClassVar[str] = "dispatch"

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        # Made before children are forked: one that is forked while a thread makes it would wait for that for ever.
        self._limits = app.limits
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    @property
    def period(self) -> float:
        """The setting ``dispatch_interval``."""
        return self.app.settings.dispatch_interval

    def run_once(self) -> int:
        """Send a page of tickets and return how many went out, or how many jobs were held back if that was a page."""
        held = self._hold_back()
        if held == PAGE:
            return held  # there are more that must not go out
        due = self.app.ledger.queue_due(PAGE)
        for job in due:
            event = JobEvent(job.id, job.task, job.bulkhead, Transition.DUE, None, JobState.QUEUED)
            self.app.events.emit(event)
        free = [job for job in due if job.limit_key is None]
        tickets = [*free, *self.app.ledger.take_unticketed(PAGE), *self._within_limits()]
        return len(tickets) - len(self.app.submitter.send_tickets(tickets))

    def _within_limits(self) -> list[Ticketed]:
        """Take jobs for which there is room; Redis is asked for rate limits alone."""
        return self._limits.take() if self.app.ledger.any_waiting_for_room() else []

    def _hold_back(self) -> int:
        """Put off due jobs whose breaker lets them not through now, and return how many."""
        behind: dict[str, list[Behind]] = defaultdict(list)
        for job in self.app.ledger.due_behind_breakers(PAGE):
            behind[job.breaker].append(job)
        delays = []
        for name, jobs in behind.items():
            with gate.use():
                seconds = park(self.app.breakers[name], len(jobs), self._rng)
            why = f"circuit breaker {name!r} is open, or has just closed"
            delays += [Delay(job.id, job.task, s, why) for job, s in zip(jobs, seconds, strict=True) if s > 0]
        return len(self.app.ledger.put_off(delays)) if delays else 0
