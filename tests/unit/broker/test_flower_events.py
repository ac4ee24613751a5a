"""Events that no worker sends are left out, so that none breaks Flower's own pages."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery

from perdure_workers.flower.stock import PlausibleEvents, is_plausible

BEAT = {
    "type": "worker-heartbeat",
    "hostname": "normal@h",
    "timestamp": 1.7e9,
    "local_received": 1.7e9,
    "freq": 2.0,
    "active": 0,
    "processed": 7,
    "clock": 3,
    "pid": 9,
    "loadavg": [0.1, 0.2, 0.3],
    "sw_ident": "py-celery",
}
TASK = {"type": "task-succeeded", "hostname": "normal@h", "timestamp": 1.7e9, "uuid": "x", "runtime": 0.5, "result": "7"}


def receiver(taken: list[Any]) -> PlausibleEvents:
    """Return a receiver that is not connected and passes on what it has read."""
    made = PlausibleEvents(None, app=Celery(set_as_current=False), handlers={})
    monkey: Any = made
    monkey.process = lambda *read: taken.append(read)
    return made


@pytest.mark.parametrize("event", [BEAT, TASK, {**BEAT, "loadavg": None}, {**TASK, "name": "shop.charge"}])
def test_what_workers_send_is_passed_on(event: dict[str, Any]) -> None:
    taken: list[Any] = []
    receiver(taken)._receive([event, event], None)
    receiver(taken)._receive(event, None)
    assert [kind for kind, _ in taken] == [event["type"]] * 3


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "worker-heartbeat",
        {},
        {**BEAT, "hostname": {"a": 1}},
        {**BEAT, "hostname": "h" * 300},
        {**BEAT, "hostname": ""},
        {**BEAT, "timestamp": "soon"},
        {**BEAT, "timestamp": None},
        {**BEAT, "timestamp": float("nan")},
        {**BEAT, "local_received": 1e308},
        {**BEAT, "freq": "often"},
        {**BEAT, "active": {}},
        {**BEAT, "loadavg": ["x"]},
        {**BEAT, "loadavg": 7},
        {**BEAT, "sw_ident": ["x"]},
        {**TASK, "uuid": None},
        {**TASK, "uuid": []},
        {**TASK, "runtime": "long"},
        {**TASK, "name": {"x": 1}},
    ],
)
def test_what_no_worker_sends_is_left_out(event: Any, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Any] = []
    receives = receiver(taken)
    with caplog.at_level(logging.WARNING, "perdure.flower"):
        for _ in range(100):
            receives._receive([event], None)
    assert taken == []
    assert not is_plausible(event)
    assert len(caplog.records) == 1  # told of once
