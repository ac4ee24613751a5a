"""Tickets: Celery messages that name a job. They carry no arguments; what they show of them is for Flower alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from kombu.exceptions import BatchPublishError  # type: ignore[attr-defined] # new in kombu 5.7
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from perdure.clock import Clock, SystemClock
from perdure.fork_gate import gate
from perdure.ledger.records import Ticketed
from perdure.masking import mask_call_json

if TYPE_CHECKING:
    from celery import Celery

    from perdure.task import Task

logger = logging.getLogger("perdure.tickets")

#: Seconds for which a broker that refused is left alone: a submit must not pay for a timeout each time.
PAUSE_AFTER_FAILURE = 1.0
#: Longest text of arguments that a ticket shows, in characters.
MAX_SHOWN = 1000

_BROKER_ERRORS = (BrokerError, BatchPublishError, RedisError, OSError)


def queue_name(bulkhead: str) -> str:
    """Return the queue of a bulkhead."""
    return f"perdure.{bulkhead}"


class Tickets:
    """Sends tickets.

    Args:
        celery: The application whose broker they go to.
        tasks: The tasks that are known here, whose secrets are masked in what is shown of arguments.
        clock: What measures the pause after a failure.
    """

    def __init__(self, celery: Celery, tasks: Mapping[str, Task[..., Any]], clock: Clock | None = None) -> None:
        self._celery = celery
        self._tasks = tasks
        self._clock = clock or SystemClock()
        self._retry_at = 0.0

    def send(self, tickets: Sequence[Ticketed]) -> list[str]:
        """Send tickets and return the ids of those that could not be sent: the broker is down.

        Never raises for a broker that is down: the ledger has the jobs, and a dispatcher sends their tickets later.
        """
        if not tickets:
            return []
        if self._clock.monotonic() < self._retry_at:
            return [ticket.id for ticket in tickets]
        sent = 0
        try:
            pool: Any = self._celery.producer_pool
            with gate.use(), pool.acquire(block=True) as producer:
                for page in _pages(tickets):
                    with producer.batch() if len(page) > 1 else nullcontext():
                        for ticket in page:
                            self._publish(ticket, producer)
                    sent += len(page)
        except _BROKER_ERRORS as error:
            self._retry_at = self._clock.monotonic() + PAUSE_AFTER_FAILURE
            logger.warning("the broker is not reached (%s): %d tickets wait in the ledger", error, len(tickets) - sent)
        return [ticket.id for ticket in tickets[sent:]]

    def announce(self, kind: str, job_id: str, worker: str, **fields: Any) -> bool:
        """Send an event of Celery's about a job to whoever watches, such as Flower; return whether it was sent.

        Args:
            kind: Celery's name of the event, such as ``task-revoked``.
            job_id: The job.
            worker: The worker's name under which it is shown.
            fields: What else Celery says with an event of this kind.
        """
        if self._clock.monotonic() < self._retry_at:
            return False
        try:
            events: Any = self._celery.events
            with gate.use(), events.default_dispatcher(hostname=worker) as dispatcher:
                dispatcher.send(kind, uuid=job_id, **fields)
        except _BROKER_ERRORS as error:
            self._retry_at = self._clock.monotonic() + PAUSE_AFTER_FAILURE
            logger.warning("the broker is not reached (%s): Flower is not told %s of %s", error, kind, job_id)
            return False
        return True

    def _publish(self, ticket: Ticketed, producer: Any) -> None:
        args, kwargs = mask_call_json(self._tasks.get(ticket.task), ticket.args, ticket.kwargs)
        self._celery.send_task(
            ticket.task,
            task_id=ticket.id,
            queue=queue_name(ticket.bulkhead),
            priority=ticket.priority,
            producer=producer,
            ignore_result=True,
            retry=False,
            argsrepr=_shown(args),
            kwargsrepr=_shown(kwargs),
            parent_id=ticket.replay_of,
            retries=ticket.attempt,  # shown by Flower; the ledger counts
        )


_PAGE = 500


def _pages(tickets: Sequence[Ticketed]) -> list[Sequence[Ticketed]]:
    return [tickets[start : start + _PAGE] for start in range(0, len(tickets), _PAGE)]


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
