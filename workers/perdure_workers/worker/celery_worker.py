"""Celery's worker, which drains however it is told to stop, and keeps its children while its broker is away."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any, ClassVar

from celery import platforms
from celery.apps.worker import Worker
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from perdure_workers.recovery.pulse import EVERY, Pulse
from perdure_workers.worker.signal_wakeup import SignalWakeup

DELAYED = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
#: Seconds between the first two tries to reach a broker, what each try adds, and the longest time between two.
FIRST_WAIT, MORE_WAIT, LONGEST_WAIT = 0.5, 0.5, 1.0
#: Seconds for which Redis lets a worker wait for a bell before it says that there is none: each answer wakes an idle one.
QUIET = 4


class PatientConsumer(Consumer):
    """Reads bells, and waits for a broker that is away."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]
        """Celery's parts of a consumer without its delayed messages, which would make 28 queues in each RabbitMQ."""

        default_steps: ClassVar[list[str]] = [step for step in Consumer.Blueprint.default_steps if step != DELAYED]

    hub: Any
    task_consumer: Any
    #: This process' pulse; the worker sets it.
    pulse: ClassVar[Pulse | None] = None
    #: Wakes the event loop; likewise.
    signals: ClassVar[SignalWakeup | None] = None

    def register_with_event_loop(self, hub: Any) -> None:
        """Beat and heed signals from now on; a lost connection clears what the loop knows."""
        super().register_with_event_loop(hub)
        wait_long(self.task_consumer.channel)
        if self.signals is not None:
            self.signals.register(hub)
        self._beat()
        hub.call_repeatedly(EVERY, self._beat)

    def shutdown(self) -> None:
        """Close without waiting until Redis says that there is no bell."""
        stop_asking(getattr(self.task_consumer, "channel", None))
        super().shutdown()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes. Celery's event loop stands still meanwhile, and with it the care for children."""
        connected = conn.ensure_connection(
            self._note_refusal,
            callback=self._meanwhile,
            interval_start=FIRST_WAIT,
            interval_step=MORE_WAIT,
            interval_max=LONGEST_WAIT,
        )
        self.first_connection_attempt = False
        return connected

    def _note_refusal(self, error: Exception, wait: float) -> None:
        self.on_connection_error_before_connected(error)

    def _meanwhile(self) -> None:
        """Called about once a second."""
        maybe_shutdown()
        self._beat()
        pool = self.pool._pool
        if not pool._registered_with_event_loop:
            pool.register_with_event_loop(self.hub)  # else it does not give a dead child's queues to the next one
        pool.maintain_pool()

    def _beat(self) -> None:
        if self.pulse is not None:
            self.pulse.beat()


def wait_long(channel: Any) -> None:
    """Have a channel of Redis' wait for a bell for a while at a time; others have no such time."""
    if hasattr(channel, "brpop_timeout"):
        channel.brpop_timeout = QUIET


def stop_asking(channel: Any) -> None:
    """Take a channel of Redis' back from where it waits for a bell, unless there is one. Others never wait so."""
    asking = getattr(channel, "_in_poll", None)
    if asking:
        with contextlib.suppress(*channel.connection_errors):
            if not asking.can_read():
                asking.disconnect()
                channel._in_poll = None


class DrainingWorker(Worker):
    """A Celery worker of perdure."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """Have SIGHUP end the worker as SIGTERM does; Celery would begin it anew in the same process, threads and all."""
        super().install_platform_tweaks(worker)
        platforms.signals["HUP"] = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
