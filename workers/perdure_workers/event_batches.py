"""Sending Celery's events in batches: a message of many events a few times a second, not one at each turn of the loop.

Celery's main process spends a third of its time on publishing events when it flushes them at every turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps

if TYPE_CHECKING:
    from celery import Celery

#: Seconds that an event waits at most for others; a full buffer goes out at once.
LONGEST_WAIT = 0.1


def batch_events(celery: Celery[Any]) -> None:
    """Have each consumer of an application, also the one after a reconnect, send its events in batches."""

    class EventBatches(bootsteps.StartStopStep):
        """Replaces what a consumer does when an event was buffered."""

        requires = ("celery.worker.consumer.events:Events",)

        def start(self, consumer: Any) -> None:
            consumer.event_dispatcher.on_send_buffered = _Flusher(consumer)

        def stop(self, consumer: Any) -> None:
            consumer._flush_events()

    celery.steps["consumer"].add(EventBatches)


class _Flusher:
    """Flushes a consumer's events soon; called on its event loop's thread, for each event."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._pending = False

    def __call__(self) -> None:
        if not self._pending and self._consumer.hub is not None:
            self._pending = True
            self._consumer.hub.call_later(LONGEST_WAIT, self._flush)

    def _flush(self) -> None:
        self._pending = False
        self._consumer._flush_events()
