"""Messages that are no bell: kept as dead letters with their raw bytes, never dropped."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from celery import bootsteps
from celery.worker.consumer import Consumer

from perdure.errors import JobNotFound
from perdure.fingerprint import fingerprint
from perdure.ids import new_id
from perdure.states import DeadReason

if TYPE_CHECKING:
    from perdure_workers.worker import Worker

logger = logging.getLogger("perdure.quarantine")

#: Most of a message that is kept, in bytes.
MAX_RAW = 1_000_000


def install_quarantine(worker: Worker) -> None:
    """Have a worker's consumer keep the messages that Celery would drop."""

    class Quarantine(bootsteps.StartStopStep):
        """Replaces the consumer's handlers of messages that it cannot use."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Consumer, **_options: Any) -> None:
            super().__init__(consumer)
            self._wrap(consumer, "on_decode_error", error_at=1)
            self._wrap(consumer, "on_unknown_message")
            self._wrap(consumer, "on_invalid_task")
            setattr(consumer, "on_unknown_task", self._on_unknown_task)  # noqa: B010 - a method, for mypy

        @staticmethod
        def _on_unknown_task(_body: Any, message: Any, exc: BaseException) -> None:
            # Not Celery's own handler: it would tell Flower that a task failed.
            message.reject_log_error(logger, worker.app.celery.connection_for_read().connection_errors)
            keep(worker, message, repr(exc), DeadReason.UNKNOWN_TASK)

        def _wrap(self, consumer: Any, name: str, error_at: int | None = None) -> None:
            original = getattr(consumer, name)

            def handler(*args: Any, **kwargs: Any) -> Any:
                message = next((a for a in args if hasattr(a, "delivery_info")), None)
                error = repr(args[error_at]) if error_at is not None and len(args) > error_at else name
                if message is not None:
                    keep(worker, message, error)
                return original(*args, **kwargs)

            setattr(consumer, name, handler)

    worker.app.celery.steps["consumer"].add(Quarantine)


def keep(worker: Worker, message: Any, error: str, reason: DeadReason = DeadReason.MALFORMED) -> None:
    """Have a message written as a dead letter soon; called on the event loop.

    Args:
        worker: Who got it.
        message: kombu's message.
        error: What is wrong with it.
        reason: The letter's reason.
    """
    letter = _letter(message, reason, error, worker.incarnation.bulkhead)
    worker.post(lambda: _keep(worker, message, letter))


def _keep(worker: Worker, message: Any, letter: dict[str, Any]) -> None:
    """Write the dead letter, unless the message names a job: then the ledger has that already."""
    job_id = str((message.headers or {}).get("id"))
    with contextlib.suppress(JobNotFound):
        worker.app.ledger.job(job_id)
        logger.warning("a message that names job %s was dropped: jobs are run from the ledger", job_id)
        return
    worker.app.ledger.quarantine(letter)
    logger.warning("a message that is no bell was kept as dead letter %s", letter["id"])


def _letter(message: Any, reason: DeadReason, error: str, bulkhead: str) -> dict[str, Any]:
    body = message.body
    raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "replace")
    headers = {str(key): str(value)[:500] for key, value in (message.headers or {}).items()}
    described = msgspec.json.encode({"headers": headers, "content_type": str(message.content_type)})
    task = str(headers.get("task") or "?")[:255]
    return {
        "id": new_id(),
        "job_id": None,
        "task": task,
        "bulkhead": bulkhead,
        "reason": reason.value,
        "error_type": reason.value,
        "error": f"{error[:2000]} (content type {message.content_type!r}, {len(raw)} bytes)",
        "fingerprint": fingerprint(task, reason.value, error[:200], []),
        "raw": described + b"\n" + raw[:MAX_RAW],
    }
