"""Telling Flower what no worker's child tells it: jobs cancelled, buried or taken back while no child runs them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.errors import LedgerUnavailable
from perdure.model.states import WAITING_STATES, JobState, Transition
from perdure.system.fork_gate import gate

if TYPE_CHECKING:
    from celery import Celery

    from perdure.ledger import Ledger
    from perdure.model.events import JobEvent

logger = logging.getLogger("perdure.flower_events")

#: Seconds for which a broker that refused is left alone: nobody waits for a timeout each time.
PAUSE_AFTER_FAILURE = 1.0

#: Celery's events for what happens to a job.
_KINDS = {
    Transition.CANCEL: "task-revoked",
    Transition.DIE: "task-failed",
    Transition.RETRY: "task-retried",
    Transition.LOSE: "task-retried",
    Transition.HAND_BACK: "task-retried",
}


class FlowerEvents:
    """Sends Celery's events for transitions of jobs that no child runs.

    Args:
        celery: Returns the Celery application; it is not made before there is something to tell.
        ledger: Says which workers there are.
    """

    #: The states to which a job that waits can come without a worker's child.
    HEARD = (JobState.CANCELLED, JobState.DEAD)

    def __init__(self, celery: Callable[[], Celery], ledger: Ledger) -> None:
        self._celery = celery
        self._ledger = ledger
        self._silent_until = 0.0

    def hear(self, event: JobEvent) -> None:
        """Send what happened to a job that waited; of one that ran its child tells, or whoever takes it back."""
        if event.source in WAITING_STATES:
            self.send(event)

    def send(self, event: JobEvent, trace: str | None = None) -> bool:
        """Send Celery's event for a job's transition; return whether one was sent.

        One needs a worker, and of one that does not exist Flower would make a page: of a job that none has had, one that
        serves its bulkhead tells.

        Args:
            event: What happened.
            trace: The traceback that is shown.
        """
        if event.transition not in _KINDS or (worker := event.worker or self._any_worker(event.bulkhead)) is None:
            return False
        fields: dict[str, Any] = {"exception": _text(event), "traceback": trace or ""}
        if event.transition is Transition.CANCEL:
            fields = {"terminated": event.attempt > 0, "signum": None, "expired": False, "exception": _text(event)}
        # With its name: of a job that no worker had yet Flower knows nothing.
        return self._send(_KINDS[event.transition], event.job_id, worker, fields | {"name": event.task})

    def _send(self, kind: str, job_id: str, worker: str, fields: dict[str, Any]) -> bool:
        if time.monotonic() < self._silent_until:
            return False
        events: Any = self._celery().events
        try:
            with gate, events.default_dispatcher(hostname=worker) as dispatcher:
                dispatcher.send(kind, uuid=job_id, **fields)
        except Exception as error:  # noqa: BLE001 - any transport's own errors; what happened is in the ledger
            self._silent_until = time.monotonic() + PAUSE_AFTER_FAILURE
            logger.warning("the broker is not reached (%s): Flower is not told %s of %s", error, kind, job_id)
            return False
        return True

    def _any_worker(self, bulkhead: str) -> str | None:
        try:
            return next((worker.name for worker in self._ledger.workers.listing() if worker.bulkhead == bulkhead), None)
        except LedgerUnavailable:
            return None


def _text(event: JobEvent) -> str:
    text = error_text(event.error_type, event.reason)
    return text if event.target.is_final else retry_text(text, event.delay)


def error_text(error_type: str | None, error: str) -> str:
    """Return an error as Celery writes it: monitors read its type up to the parenthesis. Without a type, its message."""
    return f"{error_type.rpartition('.')[2]}({error!r})" if error_type else error


def retry_text(why: str, delay: float | None) -> str:
    """Return what is shown of a job that waits for its next attempt: why, and when that is. ``delay`` is in seconds."""
    if not delay:
        return f"{why}; runs again at once"
    return at_text(why, datetime.now(UTC) + timedelta(seconds=delay))


def at_text(why: str, when: datetime) -> str:
    """Return what is shown of a job that waits until a moment."""
    return f"{why}; next attempt at {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
