"""Celery's remote control: what goes past the ledger is refused and changes nothing; what is taken does what it says."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import redis

from perdure import JobCancelled
from perdure_workers.intake.remote_control import REFUSED
from support.cluster import PATIENCE, Cluster, Running
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]

#: Where kombu broadcasts remote control, in database 0.
CHANNEL = "/0.celery.pidbox"
#: Arguments that Celery's own command would act on.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "pool_grow": {"n": 3},
    "pool_shrink": {"n": 2},
    "pool_restart": {"modules": [], "reload": True},
    "autoscale": {"max": 9, "min": 0},
    "add_consumer": {"queue": "perdure.critical"},
    "cancel_consumer": {"queue": "perdure.normal"},
    "disable_events": {},
    "election": {"id": "1", "topic": "x"},
    "revoke_by_stamped_headers": {"headers": {"a": "b"}},
    "objgraph": {"num": 1},
}


def call(cluster: Cluster, command: str, **arguments: Any) -> Any:
    """Broadcast a command and return what the one worker answers."""
    control = cluster.app.celery.control
    answers = control.broadcast(command, arguments=arguments, reply=True, timeout=PATIENCE, limit=1)
    [answer] = answers or [{}]
    [said] = answer.values()
    return said


def is_whole(cluster: Cluster, worker: Running, children: list[int]) -> None:
    """Check that a worker has the children that it had, hears bells, and sends events."""
    assert worker.process.poll() is None, worker.logged()
    assert worker.children() == children
    assert [queue["name"] for queue in call(cluster, "active_queues")] == ["perdure.normal"]
    assert cluster.submit("quick").wait(PATIENCE) == 1


def test_commands_that_would_deafen_a_worker_are_refused_and_change_nothing(cluster: Cluster) -> None:
    worker = cluster.worker("w1")
    children = worker.children()
    assert ARGUMENTS.keys() == REFUSED.keys()
    for command, arguments in ARGUMENTS.items():
        said = call(cluster, command, **arguments)
        assert said == {"error": f"{command} is off: {REFUSED[command]}"}
    is_whole(cluster, worker, children)


SENSELESS = [math.nan, math.inf, -math.inf, -1, 0, 0.01, "3", True, [3], {"a": 1}, None]


def test_a_time_limit_that_makes_no_sense_is_refused(cluster: Cluster) -> None:
    cluster.worker("w1")
    for limit in SENSELESS:
        said = call(cluster, "time_limit", task_name="nap", soft=limit, hard=limit)
        assert "give a soft or a hard limit" in said["error"], limit
    assert "unknown task" in call(cluster, "time_limit", task_name="nobody.knows", soft=3)["error"]
    assert cluster.submit("nap", 0.5).wait(PATIENCE) == 1


def test_running_jobs_are_shown_and_revoked(cluster: Cluster) -> None:
    cluster.worker("w1", concurrency=2)
    held, polite = cluster.submit("hold", "gate"), cluster.submit("polite")
    starts = {job.id: cluster.await_effect(job, "start") for job in (held, polite)}

    shown = {job["id"]: job for job in call(cluster, "active")}
    assert {job["id"]: job["name"] for job in shown.values()} == {held.id: "hold", polite.id: "polite"}
    assert all(shown[job_id]["worker_pid"] == start.pid for job_id, start in starts.items())
    assert list(call(cluster, "query_task", ids=[held.id, "nobody"])) == [held.id]
    assert call(cluster, "reserved") == []

    assert "cancelled" in call(cluster, "revoke", task_id=[polite.id, "nobody"])["ok"]
    with pytest.raises(JobCancelled):
        polite.wait(PATIENCE)
    cluster.open("gate")
    assert held.wait(PATIENCE) == 1
    wait_until(lambda: call(cluster, "active") == [], PATIENCE)


def control_message(call: Any, **parts: Any) -> dict[str, Any]:
    text = call if isinstance(call, str) else json.dumps(call)
    return {
        "body": base64.b64encode(text.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"clock": 1, "expires": 0},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "t",
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
        },
        **parts,
    }


FORGED: list[Any] = [
    b"\xff\xfe{",
    b"7",
    b"[" * 100_000,
    b'{"headers": {"__type__": "decimal", "__value__": "x"}}',
    control_message({"method": "ping", "arguments": []}),
    control_message({"method": ["ping"]}),
    control_message({"method": "nobody_knows", "arguments": {}}),
    control_message({"method": "ping", "arguments": {"x": 1}, "destination": 7}),
    control_message({"method": "ping", "arguments": {}, "reply_to": {"exchange": 7, "routing_key": []}}),
    control_message({"method": "time_limit", "arguments": {"task_name": ["nap"], "soft": 5}}),
    control_message({"method": "revoke", "arguments": {"task_id": {"a": 1}}}),
    control_message({"method": "query_task", "arguments": {"ids": 7}}),
    control_message({"method": "shutdown", "arguments": {}}, **{"content-encoding": "latin-1"}),
    control_message({"method": "shutdown", "arguments": {}}, headers={"compression": "application/x-gzip"}),
    control_message({"method": "shutdown", "arguments": {}}, **{"content-type": "application/x-python-serialize"}),
    control_message({"method": "ping", "arguments": {}}, headers={"clock": math.inf}),
    control_message("{"),
    control_message("[" * 100_000),
    control_message('"text"'),
    control_message({"method": "ping", "arguments": {}}, body="a"),
    control_message({"method": "ping", "arguments": {}}, properties=[]),
]


def test_forged_remote_control_leaves_the_worker_as_it_was(cluster: Cluster, redis_url: str) -> None:
    worker = cluster.worker("w1")
    children = worker.children()
    with redis.Redis.from_url(redis_url) as client:
        for forged in FORGED:
            text = forged if isinstance(forged, bytes) else json.dumps(forged).encode()
            wait_until(lambda text=text: client.publish(CHANNEL, text), PATIENCE)  # type: ignore[misc]
            wait_until(
                lambda: cluster.app.celery.control.broadcast("ping", reply=True, timeout=2, limit=1),
                PATIENCE,
                message=lambda text=text: f"after {text[:200]!r}: {worker.logged()[-5000:]}",  # type: ignore[misc]
            )
    is_whole(cluster, worker, children)
    assert cluster.app.dead_letters.count() <= 2  # the calls that are no JSON are kept
