"""One event per transition: the ledger's writes yield it, and logs, metrics, Flower and alerts subscribe to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from perdure.model.states import DeadReason, JobState, Outcome, Transition, target

if TYPE_CHECKING:
    from perdure.model.new_job import NewJob
    from perdure.model.records import Claim, Settlement

logger = logging.getLogger("perdure.events")


class JobEvent(Struct, frozen=True):
    """A job went from one state to another.

    Attributes:
        job_id: The job.
        task: Its task's name.
        bulkhead: Its bulkhead.
        transition: What happened; None for a submit.
        source: The state before; None for a submit. A job that is claimed was queued, as its time had come.
        target: The state after.
        attempt: The attempt that began last; 0 before the first.
        reason: Why, in words, an error's message for one; empty when there is nothing to say.
        outcome: How the attempt ended, when one did.
        death: Why it is a dead letter now, when it is.
        error_type: The name of the error's type, when there is one.
        worker: The name of the worker that had it last; None for a job that none has had.
        waited: Seconds from becoming runnable to the claim, for a claim.
        ran: Seconds that the function ran, when it ended and somebody was there to measure.
        delay: Seconds until it may run again, for a retry and a snooze.
    """

    job_id: str
    task: str
    bulkhead: str
    transition: Transition | None
    source: JobState | None
    target: JobState
    attempt: int = 0
    reason: str = ""
    outcome: Outcome | None = None
    death: DeadReason | None = None
    error_type: str | None = None
    worker: str | None = None
    waited: float | None = None
    ran: float | None = None
    delay: float | None = None

    @classmethod
    def submitted(cls, job: NewJob, reason: str = "") -> JobEvent:
        """Return the event of a job that was written just now."""
        return cls(job.id, job.task, job.bulkhead, None, None, job.first_state, reason=reason)

    @classmethod
    def claimed(cls, claim: Claim) -> JobEvent:
        """Return the event of a job that a worker has taken."""
        return cls(
            claim.job_id,
            claim.task,
            claim.bulkhead,
            Transition.CLAIM,
            JobState.QUEUED,
            target(Transition.CLAIM),
            claim.attempt,
            worker=claim.worker_name,
            waited=claim.started_at - claim.queued_at,
        )

    @classmethod
    def settled(cls, claim: Claim, ended: Settlement) -> JobEvent:
        """Return the event of a claim that ended."""
        return cls(
            claim.job_id,
            claim.task,
            claim.bulkhead,
            ended.transition,
            JobState.RUNNING,
            target(ended.transition),
            claim.attempt,
            ended.error or "",
            ended.outcome,
            None if ended.death is None else ended.death.reason,
            ended.error_type,
            claim.worker_name,
            ran=ended.ran,
            delay=ended.delay,
        )

    @classmethod
    def of_waiting(cls, row: Any, transition: Transition, reason: str = "", **more: Any) -> JobEvent:
        """Return the event of a job that waited.

        Args:
            row: The job as it was: ``id``, ``task``, ``bulkhead``, ``state``, ``attempt`` and ``worker_name``.
            transition: What happened.
            reason: Why.
            more: Further attributes.
        """
        states = (JobState(row.state), target(transition))
        return cls(row.id, row.task, row.bulkhead, transition, *states, row.attempt, reason, worker=row.worker_name, **more)


Subscriber = Callable[[JobEvent], None]


class EventBus:
    """Passes events on to the log and to subscribers in this process; a subscriber that fails stops nobody else."""

    def __init__(self) -> None:
        self._subscribers: dict[JobState, list[Subscriber]] = {state: [] for state in JobState}

    def subscribe(
        self, subscriber: Subscriber, targets: Collection[JobState | str] = tuple(JobState)
    ) -> Callable[[], None]:
        """Call ``subscriber`` with each event from now on; return a function that ends that.

        Args:
            subscriber: What is called, by the thread that wrote to the ledger, once that is committed.
            targets: Only events of jobs that come to these states; all by default.

        Raises:
            ValueError: There is no such state.
        """
        states = [JobState(state) for state in targets]
        for state in states:
            self._subscribers[state].append(subscriber)

        def unsubscribe() -> None:
            for state in states:
                if subscriber in self._subscribers[state]:
                    self._subscribers[state].remove(subscriber)

        return unsubscribe

    def hears(self, state: JobState) -> bool:
        """Return whether an event of a job that comes to a state would reach anybody, the log included."""
        return bool(self._subscribers[state]) or logger.isEnabledFor(_level(state))

    def emit(self, event: JobEvent) -> None:
        """Log an event and pass it to every subscriber."""
        _log(event)
        for subscriber in list(self._subscribers[event.target]):
            try:
                subscriber(event)
            except Exception:
                logger.exception("event subscriber %r failed on %s", subscriber, event)


def _log(event: JobEvent) -> None:
    logger.log(
        _level(event.target),
        "%s %s %s -> %s%s",
        event.task,
        event.job_id,
        event.source or "submit",
        event.target,
        f": {event.reason}" if event.reason else "",
    )


def _level(state: JobState) -> int:
    return logging.WARNING if state is JobState.DEAD else logging.DEBUG
