"""Several alerts at once, three supervisors, one of them killed: each beginning and each end is told once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from support.cluster import Cluster, Running
from support.ledgers import dead
from support.receiver import Receiver, answer, receiver
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

PATIENCE = 60.0
WAITING = (("quick", "normal"), ("quick", "critical"))
EXPECTED = {"bulkhead_unserved": 2, "breaker_open": 1, "dead_letter_group_new": 1}


def settings(url: str) -> str:
    at_once = {"hold": 0, "keep": 0}
    hook = {"kind": "webhook", "url": url, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "timeout": 0.5}
    rules = {"bulkhead_unserved": at_once, "breaker_open": at_once}
    return json.dumps({"every": 0.5, "rules": rules, "notifiers": {"ops": {**hook, "rules": list(EXPECTED)}}})


def told(ops: Receiver) -> Counter[tuple[str, str, str]]:
    """How often each alert's beginning and end were told, by its id; a message that came twice counts once."""
    messages = {body["id"]: body for body in (json.loads(got.body)["data"] for got in ops.received)}
    return Counter(
        (body["state"], body["rule"], alert["id"])
        for body in messages.values()
        for alert in body["alerts"]
        if alert["labels"].get("bulkhead") != "background"  # where the platform's own hourly job may come to wait
    )


def number(ops: Receiver, state: str) -> Counter[str]:
    return Counter(rule for each, rule, _ in told(ops) if each == state)


def holder(cluster: Cluster, supervisors: list[Running]) -> Running:
    last = cluster.app.alerts.last_look()
    assert last is not None
    return next(one for one in supervisors if f":{one.pid}:" in last.holder)


def test_each_alert_is_told_once_although_who_looks_is_killed(
    make_cluster: Callable[..., Cluster], postgres_url: str, redis_url: str
) -> None:
    cluster = make_cluster(postgres_url, redis_url)
    with receiver(answer(204)) as ops:
        supervisors = [cluster.start("supervisor", name=f"s{each}", alerts=settings(ops.url)) for each in range(3)]
        for one in supervisors:
            wait_until(lambda one=one: "supervisor ready" in one.logged(), PATIENCE, message=one.logged)
        app = cluster.app
        wait_until(app.alerts.last_look, PATIENCE)
        _, letter = dead(app.ledger, 1)
        jobs = [cluster.submit(task, bulkhead=bulkhead) for task, bulkhead in WAITING]
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                app.breakers["alerted"].call(lambda: 1 / 0)
        wait_until(lambda: ops.received, PATIENCE)
        holder(cluster, supervisors).kill()
        wait_until(lambda: number(ops, "firing") == EXPECTED, PATIENCE, message=lambda: str(told(ops)))

        app.breakers["alerted"].reset(reason="tests", by="ann")
        app.dead_letters.discard(letter, reason="seen", by="ann")
        for job in jobs:
            job.cancel()
        wait_until(lambda: number(ops, "resolved") == EXPECTED, PATIENCE, message=lambda: str(told(ops)))
        assert set(told(ops).values()) == {1}
        assert app.alerts.list(state="firing") == []
