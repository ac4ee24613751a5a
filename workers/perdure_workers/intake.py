"""Whether a worker takes tickets, and whether its event loop turns."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker.consumer import Consumer

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger("perdure.intake")

#: Seconds between two signs of life of the event loop.
PULSE = 0.5


class Intake:
    """Lets a worker's consumer take tickets or not.

    Args:
        queue: The queue that it serves.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._consumer: Any = None
        self._last_pulse = 0.0

    def install(self, celery: Celery[Any]) -> None:
        """Have each consumer of an application, also the one after a reconnect, report to this intake."""
        intake = self

        class Pulse(bootsteps.StartStopStep):
            """Notes that the event loop turns. Its timer is cancelled with the connection and set again with the next."""

            requires = ("celery.worker.consumer.tasks:Tasks",)

            def start(self, consumer: Consumer) -> None:
                intake.attach(consumer)

        celery.steps["consumer"].add(Pulse)

    def attach(self, consumer: Any) -> None:
        """Watch a consumer's event loop; called on that loop's thread."""
        self._consumer = consumer
        self._beat()
        consumer.hub.call_repeatedly(PULSE, self._beat)

    def loop_age(self) -> float:
        """Return the seconds since the event loop last turned. It stands still while the broker is not reached."""
        return time.monotonic() - self._last_pulse

    def close(self) -> None:
        """Take no more tickets."""
        logger.warning("takes no more tickets until the ledger is reached again")
        self._on_loop("cancel_task_queue")

    def open(self) -> None:
        """Take tickets again."""
        logger.warning("takes tickets again")
        self._on_loop("add_task_queue")

    def _on_loop(self, method: str) -> None:
        if self._consumer is not None:
            self._consumer.hub.call_soon(getattr(self._consumer, method), self._queue)

    def _beat(self) -> None:
        self._last_pulse = time.monotonic()
