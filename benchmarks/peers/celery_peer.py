"""Plain Celery. ``BENCH_CELERY`` says how: ``plain``, ``events``, or ``reliable`` (as far as its settings go)."""

import os

import effects
from celery import Celery

MODE = os.environ["BENCH_CELERY"]
EVENTS = {"worker_send_task_events": True, "task_send_sent_event": True}
RELIABLE = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_track_started": True,
    "worker_prefetch_multiplier": 1,
    "result_backend": os.environ.get("BENCH_RESULTS"),
}

app = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_ignore_result=MODE != "reliable", broker_connection_retry_on_startup=True)
if MODE != "plain":
    app.conf.update(EVENTS)
if MODE == "reliable":
    app.conf.update(RELIABLE)

append = app.task(name="bench.append")(effects.append)


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.apply_async((number, seconds))


def submit_many(numbers: range, seconds: float) -> None:
    """Submit jobs by kombu's batches."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch():
        for number in numbers:
            append.apply_async((number, seconds), producer=producer)
