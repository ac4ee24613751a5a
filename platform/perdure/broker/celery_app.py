"""The Celery application behind ``app.celery``: queues, transport and one Celery task for each perdure task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from kombu import Queue

from perdure.broker.own_celery import OwnCelery
from perdure.broker.queues import BELL, QUORUM, queue_name
from perdure.errors import NotAWorker
from perdure.resilience.redis.address import is_redis

if TYPE_CHECKING:
    from perdure.settings.settings import Settings


class JobTask(Task):  # type: ignore[type-arg]
    """A Celery task that stands for a perdure task, so that workers and Flower list it. Jobs are run from the ledger."""

    abstract = True
    ignore_result = True
    typing = False
    send_events = False
    #: What a worker does with a message that names the task; see ``perdure_workers.intake.bell_reader``.
    Strategy = "perdure_workers.intake.bell_reader:keep"

    def run(self, *_args: Any, **_kwargs: Any) -> Any:
        """Refuse: a message alone runs nothing.

        Raises:
            NotAWorker: Always.
        """
        raise NotAWorker("jobs are run from the ledger by a perdure worker. Submit them with .submit(); see perdure worker")


class BellTask(JobTask):
    """The Celery task that a bell names."""

    name = BELL
    Strategy = "perdure_workers.intake.bell_reader:answer"


class RefusedTask(JobTask):
    """The Celery task that a worker's gate gives a message that it refused."""

    name = "perdure.refused"
    Strategy = "perdure_workers.intake.bell_reader:refuse"


def build_celery(settings: Settings, name: str = "perdure") -> Celery[Any]:
    """Return the Celery application for these settings; it connects to nothing yet."""
    arguments = None if is_redis(settings.effective_broker_url) else QUORUM
    celery: Celery[Any] = OwnCelery(name, broker=settings.celery_broker_url, set_as_current=False, task_cls=JobTask)
    celery.conf.update(
        task_queues=[Queue(queue_name(bulkhead), queue_arguments=arguments) for bulkhead in settings.bulkheads],
        task_default_queue=queue_name(settings.default_bulkhead),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_send_sent_event=False,
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
            # A Redis that hangs holds up Celery's event loop for so long, and must not have it miss its pulse.
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 5,  # one that vanished is noticed after twice that
            "ack_emulation": False,  # kombu would note in Redis which bells are not answered yet; one may be lost
            **settings.celery_broker_options,
        },
        enable_utc=True,
        timezone="UTC",
    )
    celery.register_task(BellTask())
    celery.register_task(RefusedTask())
    return celery


def add_task(celery: Celery[Any], name: str, doc: str | None) -> None:
    """Register a perdure task's name, so that Flower knows it."""
    celery.register_task(type("JobTask", (JobTask,), {"name": name, "__doc__": doc})())
