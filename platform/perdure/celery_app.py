"""The Celery application behind ``app.celery``: queues, transport and one Celery task for each perdure task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from kombu import Queue

from perdure.errors import NotAWorker
from perdure.tickets import queue_name

if TYPE_CHECKING:
    from perdure.settings import Settings

#: Levels of priority: 0 is served first, 9 last.
PRIORITIES = list(range(10))

Runner = Callable[[Any], Any]


class TicketTask(Task):  # type: ignore[type-arg]
    """A Celery task that runs nothing by itself: a worker installs the runner that claims the job of the ticket."""

    abstract = True
    ignore_result = True
    acks_late = False
    typing = False
    runner: Runner | None = None

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        """Run the ticket that this process got; what a message carries as arguments is not looked at."""
        if TicketTask.runner is None:
            raise NotAWorker("a ticket can be run by a perdure worker only. Start one with: perdure worker BULKHEAD")
        return TicketTask.runner(self.request)

    def run(self, *_args: Any, **_kwargs: Any) -> Any:
        """Not used: see ``__call__``."""


def build_celery(settings: Settings, name: str = "perdure") -> Celery[Any]:
    """Return the Celery application for these settings; it connects to nothing yet."""
    celery: Celery[Any] = Celery(name, broker=settings.effective_broker_url, set_as_current=False, task_cls=TicketTask)
    celery.conf.update(
        task_queues=[Queue(queue_name(bulkhead)) for bulkhead in settings.bulkheads],
        task_default_queue=queue_name(settings.default_bulkhead),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport_options={
            "max_retries": 0,  # a submit does not wait for a broker that is down; workers have their own loop for that
            "priority_steps": PRIORITIES,
            "queue_order_strategy": "priority",
            "socket_timeout": 30,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 20,
        },
        enable_utc=True,
        timezone="UTC",
    )
    return celery


def add_task(celery: Celery[Any], name: str, doc: str | None) -> None:
    """Register a perdure task's name, so that workers take its tickets and Flower knows it."""
    celery.register_task(type("TicketTask", (TicketTask,), {"name": name, "__doc__": doc})())
