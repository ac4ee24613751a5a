"""Messages that are no ticket: each kind is kept as a dead letter with its raw bytes, and the worker goes on."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest
import redis
from perdure.bells import queue_name

from perdure.ids import new_id
from perdure.ledger.records import DeadLetterRecord
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


def ticket_headers(task: str) -> dict[str, Any]:
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
    "an unknown task": (envelope(CALL, ticket_headers("nobody.knows")), "unknown_task", b"callbacks"),
    "another serializer": (
        envelope(pickle.dumps([[], {}, {}]), ticket_headers("quick"), "application/x-python-serialize"),
        "malformed",
        b"]",
    ),
    "a body that its content type does not fit": (envelope(b"{{{{", ticket_headers("quick")), "malformed", b"{{{{"),
    "an unknown protocol": (envelope(b'{"protocol": 9}', {"protocol": 9, "lang": "go"}), "malformed", b'"protocol": 9'),
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


def test_the_same_flaw_is_one_group_whatever_the_message_holds(cluster: Cluster, redis_url: str) -> None:
    cluster.worker("w1", concurrency=1)
    with redis.Redis.from_url(redis_url) as client:
        for number in range(5):
            client.lpush(QUEUE, f"message {number} is not json".encode(), envelope(CALL, ticket_headers("nobody.knows")))
    wait_until(lambda: cluster.app.dead_letters.count() == 10, PATIENCE)
    assert sorted(group.count for group in cluster.app.dead_letters.groups()) == [5, 5]
