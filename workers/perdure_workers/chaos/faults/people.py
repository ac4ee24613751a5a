"""What people do by mistake, or on purpose."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import redis
import sqlalchemy as sa

from perdure.broker.queues import queue_name
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.platforms import BUSY

#: Jobs that somebody deletes by hand.
_DELETED = 5
#: Tables with rows of a job.
_TABLES = {"perdure_attempts": "job_id", "perdure_checkpoints": "job_id", "perdure_jobs": "id"}


@contextmanager
def queue_purged(bench: Bench) -> Iterator[str]:
    """Somebody purges the queues, as ``celery purge`` does."""
    with redis.Redis.from_url(bench.platform.redis_url) as client:
        gone = [client.delete(queue) for queue in _queues(bench)]
    yield f"{sum(map(int, gone))} queues"


@contextmanager
def rows_deleted(bench: Bench) -> Iterator[str]:
    """Somebody deletes rows of waiting and running jobs by hand: of these nothing is promised, of all others everything."""
    app = bench.cluster.app
    jobs = [job for state in ("running", "queued", "retrying") for job in app.jobs.list(state=state, limit=_DELETED)]
    victims = [job for job in jobs if job.record.args][:_DELETED]
    bench.excused.update(str(job.record.args[0]) for job in victims)
    engine = bench.cluster.engine()
    with engine.begin() as connection:
        for table, column in _TABLES.items():
            by_hand = sa.text(f"DELETE FROM {table} WHERE {column} = :id")  # noqa: S608 - a person at the database
            connection.execute(by_hand, [{"id": job.id} for job in victims])
    engine.dispose()
    yield f"{len(victims)} jobs"


@contextmanager
def letters_discarded(bench: Bench) -> Iterator[str]:
    """Somebody discards all dead letters by mistake, and takes it back."""
    letters = bench.cluster.app.dead_letters
    discarded = letters.discard_many("a mistake", "somebody", task="chaos.doomed")
    try:
        yield f"{discarded} letters"
    finally:
        letters.reopen_many("somebody", task="chaos.doomed")
        if letters.count(task="chaos.doomed", status="discarded"):
            raise AssertionError("discarded letters could not be taken back")


@contextmanager
def wrong_setting(bench: Bench) -> Iterator[str]:
    """A worker is deployed with a setting that makes no sense."""
    worker = bench.rng.choice([each for each in bench.cluster.workers() if each.spec.bulkhead == BUSY])
    bench.cluster.respawn(worker, {"PERDURE_HEARTBEAT_INTERVAL": "never"})
    try:
        yield f"{worker.spec.name}: heartbeat_interval=never"
    finally:
        bench.cluster.respawn(worker, {})


@contextmanager
def forged_messages(bench: Bench) -> Iterator[str]:
    """Somebody who can write to the broker sends calls of tasks, and what is no message at all."""
    forged = [_message("chaos.quick", ["forged", {}]), _message("os.system", ["true"]), b"\x80\x04nothing", b"{}"]
    with redis.Redis.from_url(bench.platform.redis_url) as client:
        for queue in _queues(bench):
            client.lpush(queue, *forged)
    yield f"{len(forged)} messages in each queue"


def _queues(bench: Bench) -> list[str]:
    prefix = bench.platform.app.settings.broker_key_prefix
    return [f"{prefix}{queue_name(bulkhead)}" for bulkhead in (BUSY, "critical")]


def _message(task: str, arguments: list[object]) -> bytes:
    """Return a message of Celery's, as its protocol has it (version 2)."""
    identity = str(uuid.uuid4())
    body = json.dumps([arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers = {"lang": "py", "task": task, "id": identity, "root_id": identity, "parent_id": None, "retries": 0}
    delivery = {"exchange": "", "routing_key": queue_name("normal")}
    properties = {"correlation_id": identity, "delivery_mode": 2, "delivery_info": delivery, "priority": 0,
                  "body_encoding": "base64", "delivery_tag": str(uuid.uuid4())}  # fmt: skip
    message = {"body": b64encode(body.encode()).decode(), "content-encoding": "utf-8", "content-type": "application/json",
               "headers": headers, "properties": properties}  # fmt: skip
    return json.dumps(message).encode()
