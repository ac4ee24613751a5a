"""The other side of the comparison: plain Celery with events on, as Flower needs it, and early acknowledgement."""

import os

from celery import Celery

app = Celery("plain", broker=os.environ.get("BENCH_BROKER_URL"))
app.conf.update(
    task_ignore_result=True,
    worker_send_task_events=True,
    task_send_sent_event=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    broker_connection_retry_on_startup=True,
)


@app.task(name="plain.noop")
def noop() -> None:
    """Do nothing."""
