"""What a worker's main process does with messages: a bell wakes a child, anything else is kept as a dead letter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from perdure_workers.intake.gate import Refused, described, envelope_of
from perdure_workers.shared.wakeups import Wakeups

logger = logging.getLogger("perdure.bells")

#: Seconds that a bell is held while all children are busy. The broker's queue fills up meanwhile, and nobody rings more.
HELD = 0.05

Handler = Callable[..., None]


class BellReader:
    """Wakes children.

    Args:
        wakeups: Theirs.
        keep: Keeps what is known of a message that is no bell.
    """

    def __init__(self, wakeups: Wakeups, keep: Callable[[Refused], None]) -> None:
        self._wakeups = wakeups
        self.keep = keep

    def answer(self, consumer: Any, message: Any) -> None:
        """Wake a child and acknowledge the bell; hold it while as many wake-ups wait as there are children.

        It is acknowledged at once, and not by Celery's promise, which the event loop keeps when it has slept: for a bell
        that was held that may be a second later, and until then kombu hears no other.
        """
        self._wakeups.hear()
        if self._wakeups.post() or consumer.hub is None:
            with suppress(*consumer.connection_errors):  # it is heard; one of a connection that is gone may come again
                message.ack()
        else:
            consumer.hub.call_later(HELD, self.answer, consumer, message)


#: The reader of this process; a worker sets it before its consumer starts.
reader: BellReader | None = None


def answer(_task: Any, _app: Any, consumer: Any, **_options: Any) -> Handler:
    """Return Celery's handler of bells; see ``celery.worker.strategy``."""

    def on_bell(message: Any, *_rest: Any, **_more: Any) -> None:
        if reader is not None:
            reader.answer(consumer, message)

    return on_bell


def refuse(_task: Any, _app: Any, consumer: Any, **_options: Any) -> Handler:
    """Return Celery's handler of messages that the gate refused."""

    def on_refused(message: Any, _body: Any, acknowledge: Any, *_rest: Any, **_more: Any) -> None:
        if reader is not None:
            reader.keep(msgspec.json.decode(message.body, type=Refused))
        acknowledge(logger, consumer.connection_errors)

    return on_refused


def keep(_task: Any, _app: Any, consumer: Any, **_options: Any) -> Handler:
    """Return Celery's handler of messages that name a task, on brokers that have no gate: a message alone runs nothing."""

    def on_message(message: Any, _body: Any, acknowledge: Any, *_rest: Any, **_more: Any) -> None:
        if reader is not None:
            reader.keep(described(envelope_of(message)))
        acknowledge(logger, consumer.connection_errors)

    return on_message
