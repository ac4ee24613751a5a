"""One event per transition: logs, metrics, Flower and alerts subscribe to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from perdure.model.records import NewJob
from perdure.model.states import JobState, Transition

logger = logging.getLogger("perdure.events")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job went from one state to another.

    Attributes:
        job_id: The job.
        task: Its task's name.
        bulkhead: Its bulkhead.
        transition: What happened; None for a submit.
        source: The state before; None for a submit.
        target: The state after.
        attempt: The attempt that was counted last; 0 before the first.
        reason: Why, in words; empty when there is nothing to say.
        waited: Seconds from becoming runnable to the claim, for a claim.
        ran: Seconds from the claim to the end of the attempt, when one ended.
    """

    job_id: str
    task: str
    bulkhead: str
    transition: Transition | None
    source: JobState | None
    target: JobState
    attempt: int = 0
    reason: str = ""
    waited: float | None = None
    ran: float | None = None

    @classmethod
    def submitted(cls, job: NewJob, reason: str = "") -> JobEvent:
        """Return the event of a job that was written just now."""
        is_due = job.delay is None and job.run_at is None
        target = JobState.QUEUED if is_due else JobState.SCHEDULED
        return cls(job.id, job.task, job.bulkhead, None, None, target, reason=reason)


Subscriber = Callable[[JobEvent], None]


@dataclass(slots=True)
class EventBus:
    """Passes events on to subscribers in this process; a subscriber that fails stops nobody else."""

    _subscribers: list[Subscriber] = field(default_factory=list)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with each event from now on; return a function that ends that."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    @property
    def is_heard(self) -> bool:
        """Whether an event would reach anybody, the log included."""
        return len(self._subscribers) > 1 or logger.isEnabledFor(logging.DEBUG)

    def emit(self, event: JobEvent) -> None:
        """Pass an event to every subscriber."""
        for subscriber in list(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                logger.exception("event subscriber %r failed on %s", subscriber, event)


def log_event(event: JobEvent) -> None:
    """Log an event; the subscriber that every application has."""
    level = logging.WARNING if event.target is JobState.DEAD else logging.DEBUG
    logger.log(
        level,
        "%s %s %s -> %s%s",
        event.task,
        event.job_id,
        event.source or "submit",
        event.target,
        f": {event.reason}" if event.reason else "",
    )
