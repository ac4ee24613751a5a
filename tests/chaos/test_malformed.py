"""Messages that are no bell: each kind is kept as a dead letter with its raw bytes, and the worker goes on."""

from __future__ import annotations

import base64
import json
import pickle
from functools import partial
from typing import Any

import pytest
import redis

from perdure.broker.queues import BELL, queue_name
from perdure.ledger.dead_letters.writing import MOST_QUARANTINED
from perdure.model.ids import new_id
from perdure.model.records import DeadLetterRecord
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

QUEUE = queue_name("normal")
TEN_MEGABYTES = 10 * 1024 * 1024


def envelope(body: bytes, headers: Any, content_type: str = "application/json", **properties: Any) -> bytes:
    """A message as kombu writes it to a list of Redis."""
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": content_type,
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": new_id(),
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "correlation_id": new_id(),
                **properties,
            },
        }
    ).encode()


def call_headers(task: str) -> dict[str, Any]:
    return {"lang": "py", "task": task, "id": new_id(), "retries": 0, "eta": None, "expires": None}


CALL = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'

#: Each message, the reason with which it is kept, and a part of it that is found in what is kept.
MESSAGES: dict[str, tuple[bytes, str, bytes]] = {
    "not JSON": (b"\x00\xff{not json", "malformed", b"not json"),
    "JSON, and no message": (b"[1, 2, 3]", "malformed", b"[1, 2, 3]"),
    "no body": (b'{"headers": {}}', "malformed", b"headers"),
    "no delivery tag": (b'{"body": "e30=", "properties": {}}', "malformed", b"properties"),
    "no headers": (envelope(b'{"hello": 1}', {}), "malformed", b"hello"),
    "headers that are null": (envelope(b'{"good": "bye"}', None), "malformed", b"bye"),
    "an unknown task": (envelope(CALL, call_headers("nobody.knows")), "unknown_task", b"callbacks"),
    "another serializer": (
        envelope(pickle.dumps([[], {}, {}]), call_headers("quick"), "application/x-python-serialize"),
        "malformed",
        b"]",
    ),
    "a body that its content type does not fit": (envelope(b"{{{{", call_headers("quick")), "malformed", b"{{{{"),
    "an unknown protocol": (envelope(b'{"protocol": 9}', {"protocol": 9, "lang": "go"}), "malformed", b'"protocol": 9'),
    "a task that is known": (envelope(CALL, call_headers("quick")), "malformed", b"callbacks"),
    "a compressed body": (envelope(b"x", call_headers("quick") | {"compression": "application/x-gzip"}), "malformed", b"x"),
    "another encoding": (
        envelope(b"x", call_headers("quick")).replace(b'"utf-8"', b"[7]"),
        "malformed",
        b"x",
    ),
    "an unknown body encoding": (envelope(b"x", call_headers("quick"), body_encoding="rot13"), "malformed", b"x"),
    "an id of another type": (envelope(CALL, call_headers("quick") | {"id": {"a": 1}}), "malformed", b"callbacks"),
    "a task of another type": (envelope(CALL, call_headers("quick") | {"task": ["quick"]}), "unknown_task", b"callbacks"),
    "an odd expiry": (envelope(CALL, call_headers("quick") | {"expires": [1]}), "malformed", b"callbacks"),
    "a tagged value": (envelope(CALL, {"__type__": "datetime", "__value__": "x"}), "malformed", b""),
    "nested too deep": (b"[" * 100_000, "malformed", b"[[["),
    "10 MB": (envelope(b'"' + b"x" * TEN_MEGABYTES + b'"', {}), "malformed", b"xxxx"),
    "10 MB that is not JSON": (b"y" * TEN_MEGABYTES, "malformed", b"yyyy"),
}


def test_each_kind_becomes_a_dead_letter_and_the_worker_goes_on(cluster: Cluster, redis_url: str) -> None:
    worker = cluster.worker("w1", concurrency=1)
    seen: set[str] = set()

    def newcomers() -> list[DeadLetterRecord]:
        return [letter for letter in cluster.app.dead_letters.list() if letter.id not in seen]

    with redis.Redis.from_url(redis_url) as client:
        for kind, (message, reason, kept) in MESSAGES.items():
            client.lpush(QUEUE, message)
            wait_until(newcomers, PATIENCE, message=lambda kind=kind: f"{kind}: {worker.logged()[-3000:]}")
            [letter] = newcomers()
            seen.add(letter.id)
            assert (letter.reason, letter.status, letter.job_id) == (reason, "open", None), kind
            assert letter.raw is not None, kind
            assert kept in letter.raw, kind
            assert len(letter.raw) < TEN_MEGABYTES, kind
            assert cluster.submit("quick").wait(PATIENCE) == 1, f"after {kind} the worker does not go on"
        assert len(newcomers()) == 0
    assert worker.process.poll() is None
    assert len([record for record in cluster.app.workers.list() if record.pid == worker.pid]) == 1


def test_a_bell_that_somebody_forged_only_wakes(cluster: Cluster, redis_url: str) -> None:
    worker = cluster.worker("w1", concurrency=1)
    assert cluster.submit("quick").wait(PATIENCE) == 1
    forged = [
        envelope(CALL, {"task": BELL, "id": 7, "retries": "x", "expires": "never"}),
        envelope(b"\xff\xfe", {"task": BELL}),
        envelope(
            CALL, {"task": BELL, "shadow": ["x"], "timelimit": [float("inf"), 0]}, priority="high", delivery_mode="no"
        ),
    ]
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, *forged * 100)
        wait_until(lambda: client.llen(QUEUE) == 0, PATIENCE)
    assert cluster.submit("quick").wait(PATIENCE) == 1
    assert cluster.app.dead_letters.count() == 0
    assert worker.process.poll() is None


def test_a_flood_of_junk_is_counted_and_not_kept(cluster: Cluster, redis_url: str) -> None:
    cluster.worker("w1", concurrency=1)
    batch, batches = 10, 13  # a longer queue is taken for a flood of bells, and cut

    def seen() -> int:
        return sum(group.seen for group in cluster.app.dead_letters.groups())

    with redis.Redis.from_url(redis_url) as client:
        for sent in range(batch, batch * batches + 1, batch):
            client.lpush(QUEUE, *[b"junk" * 10_000] * batch)
            # No more than are kept in memory wait to be written.
            wait_until(partial(lambda so_far: seen() == so_far, sent), PATIENCE, message=lambda: str(seen()))
    assert cluster.app.dead_letters.count() == MOST_QUARANTINED


def test_the_same_flaw_is_one_group_whatever_the_message_holds(cluster: Cluster, redis_url: str) -> None:
    cluster.worker("w1", concurrency=1)
    with redis.Redis.from_url(redis_url) as client:
        for number in range(5):
            client.lpush(QUEUE, f"message {number} is not json".encode(), envelope(CALL, call_headers("nobody.knows")))
    wait_until(lambda: cluster.app.dead_letters.count() == 10, PATIENCE)
    assert sorted(group.count for group in cluster.app.dead_letters.groups()) == [5, 5]


def test_plain_celery_tasks_become_dead_letters_and_run_nothing(cluster: Cluster) -> None:
    worker = cluster.worker("w1", concurrency=1)
    celery: Any = cluster.app.celery

    @celery.task(name="plain")
    def plain(number: int) -> None: ...

    sent = {
        plain.delay(7001).id: ("plain", "unknown_task", b"[7001]"),
        plain.apply_async([7002], countdown=1, expires=60).id: ("plain", "unknown_task", b"[7002]"),
        celery.tasks["quick"].apply_async([7003]).id: ("quick", "malformed", b"[7003]"),
        celery.tasks["quick"].s(7004).apply_async().id: ("quick", "malformed", b"[7004]"),
        celery.send_task("quick", [7005]).id: ("quick", "malformed", b"[7005]"),
        celery.send_task("nobody.knows", [7006]).id: ("nobody.knows", "unknown_task", b"[7006]"),
        celery.send_task("quick", [7007], serializer="yaml", compression="zlib").id: ("quick", "malformed", b""),
    }
    wait_until(lambda: cluster.app.dead_letters.count() == len(sent), PATIENCE, message=worker.logged)
    letters = [cluster.app.dead_letters.get(letter.id) for letter in cluster.app.dead_letters.list()]
    for task_id, (task, reason, kept) in sent.items():
        [letter] = [letter for letter in letters if task_id.encode() in (letter.raw or b"")]
        assert (letter.task, letter.reason, letter.job_id) == (task, reason, None)
        assert kept in (letter.raw or b"")
    assert cluster.app.jobs.count() == {}
    assert cluster.submit("quick").wait(PATIENCE) == 1
    assert worker.process.poll() is None
