"""Messages that are no bell: kept as dead letters, never dropped without a word."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from celery import bootsteps
from celery.worker.consumer import Consumer

from perdure.errors import JobNotFound
from perdure.model.ids import new_id
from perdure.model.states import DeadReason
from perdure.model.text.fingerprint import fingerprint
from perdure_workers.intake.gate import Refused, described, envelope_of

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.recovery.background import Background

logger = logging.getLogger("perdure.quarantine")

#: Messages that wait in memory to be written, at most: while the ledger is away, others are counted and not kept.
MOST_WAITING = 100


class Quarantine:
    """Keeps messages that are no bells as dead letters.

    Args:
        app: The application.
        bulkhead: Whose queue they came from.
        background: What writes them, off the event loop.
    """

    def __init__(self, app: Perdure, bulkhead: str, background: Background) -> None:
        self._app = app
        self._bulkhead = bulkhead
        self._background = background

    def install(self) -> None:
        """Have the consumer of this process keep what Celery would drop or stumble over.

        On Redis the gate lets nothing through that could get here but bells and what it refused; other brokers have no
        gate.
        """
        keep = self.keep

        class Handlers(bootsteps.StartStopStep):
            """Replaces the consumer's handlers of messages that it cannot use."""

            requires = ("celery.worker.consumer.tasks:Tasks",)

            def __init__(self, consumer: Consumer, **_options: Any) -> None:
                super().__init__(consumer)
                for name in ("on_decode_error", "on_unknown_message", "on_invalid_task"):
                    self._wrap(consumer, name)
                setattr(consumer, "on_unknown_task", lambda _body, message, _error: _take(consumer, message))  # noqa: B010
                make = consumer.create_task_handler

                def create_task_handler(*args: Any, **kwargs: Any) -> Any:
                    handle = make(*args, **kwargs)

                    def handle_whatever_comes(message: Any) -> Any:
                        try:
                            return handle(message)
                        except Exception:
                            # Out of here it would end the worker, and the next one that gets the message.
                            logger.exception("a message could not be handled")
                            return _take(consumer, message)

                    return handle_whatever_comes

                setattr(consumer, "create_task_handler", create_task_handler)  # noqa: B010 - a method, for mypy

            @staticmethod
            def _wrap(consumer: Any, name: str) -> None:
                original = getattr(consumer, name)

                def handler(*args: Any, **kwargs: Any) -> Any:
                    message = next((a for a in args if hasattr(a, "delivery_info")), None)
                    if message is not None:
                        keep(described(envelope_of(message)))
                    return original(*args, **kwargs)

                setattr(consumer, name, handler)

        def _take(consumer: Any, message: Any) -> None:
            keep(described(envelope_of(message)))
            message.ack_log_error(logger, consumer.connection_errors)

        self._app.celery.steps["consumer"].add(Handlers)

    def keep(self, refused: Refused) -> None:
        """Have a message written as a dead letter soon; called on the event loop."""
        if self._background.waiting() >= MOST_WAITING:
            logger.error("a message was not kept, because %d others wait for the ledger: %s", MOST_WAITING, refused.flaw)
            return
        self._background.post(lambda: self._keep(refused))

    def _keep(self, refused: Refused) -> None:
        with contextlib.suppress(JobNotFound):
            self._app.ledger.jobs.get(refused.job_id)
            logger.warning("a message that names job %s was dropped: the ledger has the job", refused.job_id)
            return
        reason = DeadReason.MALFORMED
        if refused.task != "?" and refused.task not in self._app.tasks:
            reason = DeadReason.UNKNOWN_TASK
        letter = {
            "id": new_id(),
            "job_id": None,
            "task": refused.task,
            "bulkhead": self._bulkhead,
            "reason": reason.value,
            "error_type": reason.value,
            "error": f"{refused.flaw} ({refused.length} bytes)",
            # Not of the task: whoever writes to the broker chooses that, and could make any number of groups.
            "fingerprint": fingerprint("", reason.value, refused.flaw, []),
            "raw": msgspec.json.encode(refused.about) + b"\n" + refused.content,
        }
        if self._app.ledger.letters.quarantine(letter):
            logger.warning("a message that is no bell was kept as dead letter %s: %s", letter["id"], refused.flaw)
