"""Alerts: each thing once, since when, gone when it is over; and which faults come first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.manage.health import CheckResult, HealthReport
from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.records import WorkerRecord
from perdure.model.states import DeadReason
from perdure.model.worker_health import WorkerEvent
from perdure.resilience.breaker.config import BreakerConfig, BreakerState
from perdure.resilience.breaker.events import BreakerSnapshot, Override
from perdure.resilience.breaker.machine import MachineState
from perdure.resilience.breaker.snapshot import snapshot
from perdure_workers.flower.alerts import Alert, FirstSeen, alerts_of
from perdure_workers.flower.bulkhead_view import BulkheadView
from perdure_workers.flower.faults import fault_views, growth, next_step

NOW = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
HEALTHY = HealthReport("healthy", [])
BULKHEAD = BulkheadView("normal", 0, 0, 0, None, False, None, None, None, 1, 2, [], [], [], None, None)
WORKER = WorkerRecord("1", "normal@a", "normal", "a", 7, 2, "healthy", False, NOW, NOW, 0.4, 0)
CLOSED = replace(
    snapshot("pay", BreakerConfig(), MachineState(), 0, shared=True), state=BreakerState.CLOSED, since=NOW.timestamp() - 60
)
FAILED = WorkerEvent("1", "normal@a", "normal", "healthy", "failed", "no heartbeat", NOW - timedelta(minutes=5), 5.0)


def alerts(**parts: Any) -> list[Alert]:
    given: dict[str, Any] = {"bulkheads": [], "breakers": [], "health": HEALTHY, "workers": [], "events": [], **parts}
    return alerts_of(**given, now=NOW)


def test_nothing_is_the_matter() -> None:
    assert alerts(bulkheads=[BULKHEAD], breakers=[CLOSED], workers=[WORKER]) == []


def test_a_queue_without_workers_is_dated_by_its_oldest_job_unless_it_is_paused() -> None:
    waits = replace(BULKHEAD, queued=7, workers=0, oldest_wait=90.0)
    [alert] = alerts(bulkheads=[waits])
    assert (alert.level, alert.since) == ("bad", NOW - timedelta(seconds=90))
    assert "perdure worker normal" in alert.todo
    [paused] = alerts(bulkheads=[replace(waits, paused=True, paused_by="ann", paused_since=NOW)])
    assert (paused.level, paused.since) == ("waiting", NOW)
    assert alerts(bulkheads=[replace(waits, queued=0)]) == []


@pytest.mark.parametrize(("state", "level"), [("open", "bad"), ("half_open", "waiting")])
def test_a_breaker_that_is_not_closed_is_told_of_once(state: Any, level: str) -> None:
    open_: BreakerSnapshot = replace(CLOSED, state=state, reason="5 of 8 failed")
    failing = HealthReport("degraded", [CheckResult("breakers", False, False, 0.1, "pay is open")])
    [alert] = alerts(breakers=[open_], health=failing)
    assert (alert.level, alert.since) == (level, NOW - timedelta(seconds=60))


def test_a_forced_breaker_is_somebody_s_wish() -> None:
    forced = replace(CLOSED, state=BreakerState.OPEN, override=Override("open", "ann", "deploy", None))
    [alert] = alerts(breakers=[forced])
    assert alert.level == "waiting"
    assert "ann" in alert.todo


def test_a_failed_worker_is_an_alert_until_it_is_back_or_an_hour_old() -> None:
    again = replace(FAILED, at=NOW - timedelta(minutes=20))
    [alert, *more] = alerts(events=[FAILED, again])
    assert (alert.level, alert.since) == ("bad", FAILED.at)
    assert len(FirstSeen().dated([alert, *more])) == 1
    assert alerts(events=[FAILED], workers=[WORKER]) == []
    assert alerts(events=[replace(FAILED, at=NOW - timedelta(hours=2))]) == []
    assert alerts(events=[replace(FAILED, target="gone")]) == []


def test_a_silent_worker_is_a_notice() -> None:
    [alert] = alerts(workers=[replace(WORKER, state="suspect", heartbeat_age=3.2)])
    assert (alert.level, alert.key) == ("waiting", "worker:normal@a")


def test_an_alert_without_a_time_is_dated_by_when_it_was_seen_first() -> None:
    failing = HealthReport("unhealthy", [CheckResult("ledger", False, True, 0.1, "gone")])
    seen = FirstSeen()
    [first] = seen.dated(alerts(health=failing))
    [second] = seen.dated(alerts(health=failing))
    assert first.since is not None
    assert first.since == second.since
    assert seen.dated([]) == []
    [later] = seen.dated(alerts(health=failing))
    assert later.since is not None
    assert later.since > first.since


GROUP = DeadLetterGroup(
    "f", "shop.pay", "exhausted", "E", "no", 9, 9, 0, 0, 9, 0, NOW - timedelta(days=3), NOW, None, None, None, [1] * 24
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"first_seen": NOW - timedelta(minutes=20)}, "new"),
        ({"regressed_at": NOW, "first_seen": NOW - timedelta(minutes=20)}, "regressed"),
        ({"trend": [0] * 22 + [6, 6]}, "growing"),
        ({"trend": [0] * 22 + [2, 2]}, ""),
        ({"trend": [100] * 22 + [110, 20]}, ""),
        ({"trend": [10] * 22 + [30, 30]}, "growing"),
    ],
)
def test_growth(changes: dict[str, Any], expected: str) -> None:
    assert growth(replace(GROUP, **changes), NOW) == expected


def test_faults_that_grow_come_first_and_each_says_what_to_do() -> None:
    groups = [replace(GROUP, fingerprint="big", open=500), replace(GROUP, fingerprint="new", first_seen=NOW), GROUP, GROUP]
    assert [view.group.fingerprint for view in fault_views(groups, NOW, 2)] == ["new", "big"]
    assert all(len(next_step(reason)) > 20 for reason in DeadReason)
    assert len({next_step(reason) for reason in DeadReason}) == len(DeadReason)
    assert next_step("of another release")
