"""Messages that are no ticket: kept as dead letters with their raw bytes, never dropped."""

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
            self._wrap(consumer, "on_decode_error", DeadReason.MALFORMED, error_at=1)
            self._wrap(consumer, "on_unknown_message", DeadReason.MALFORMED)
            self._wrap(consumer, "on_invalid_task", DeadReason.MALFORMED)
            setattr(consumer, "on_unknown_task", self._on_unknown_task)  # noqa: B010 - a method, for mypy

        @staticmethod
        def _on_unknown_task(_body: Any, message: Any, exc: BaseException) -> None:
            # Not Celery's own handler: it would tell Flower that the job failed, although another worker may run it.
            message.reject_log_error(logger, worker.app.celery.connection_for_read().connection_errors)
            letter = _letter(message, DeadReason.UNKNOWN_TASK, repr(exc), worker.incarnation.bulkhead)
            worker.post(lambda: _keep(worker, message, letter))

        def _wrap(self, consumer: Any, name: str, reason: DeadReason, error_at: int | None = None) -> None:
            original = getattr(consumer, name)

            def handler(*args: Any, **kwargs: Any) -> Any:
                message = next((a for a in args if hasattr(a, "delivery_info")), None)
                error = repr(args[error_at]) if error_at is not None and len(args) > error_at else name
                if message is not None:
                    letter = _letter(message, reason, error, worker.incarnation.bulkhead)
                    worker.post(lambda: _keep(worker, message, letter))
                return original(*args, **kwargs)

            setattr(consumer, name, handler)

    worker.app.celery.steps["consumer"].add(Quarantine)


def _keep(worker: Worker, message: Any, letter: dict[str, Any]) -> None:
    """Write the dead letter, unless the message is a job's ticket after all: then the ledger has the job already."""
    job_id = str((message.headers or {}).get("id"))
    with contextlib.suppress(JobNotFound):
        worker.app.ledger.job(job_id)
        # Its ticket is sent again after ``ticket_grace`` like any that was lost, until a worker has it that knows the task.
        worker.app.ledger.note_unknown(job_id)
        logger.warning("ticket of job %s is for a task that this worker does not know; others may", job_id)
        return
    worker.app.ledger.quarantine(letter)
    logger.warning("a message that is no ticket was kept as dead letter %s", letter["id"])


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
