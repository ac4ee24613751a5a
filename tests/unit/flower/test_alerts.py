"""Alerts as pages show them; and which faults come first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from perdure.ledger.alerts.turn import LastLook
from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.rule import Severity
from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.states import DeadReason
from perdure_workers.flower.alerts import nobody_looks, view
from perdure_workers.flower.faults import fault_views, growth, next_step

NOW = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
ALERT = Alert("1", "worker_failed", {}, Severity.WARNING, Phase.FIRING, 1.0, "gone", 0.0, fired_at=60.0)


def test_an_alert_as_pages_show_it() -> None:
    shown = view(ALERT, {"worker_failed": "Start it."})
    assert (shown.level, shown.page, shown.todo, shown.text) == ("bad", "perdure_workers", "Start it.", "gone")
    assert shown.since == datetime.fromtimestamp(60, UTC)
    assert view(replace(ALERT, phase=Phase.PENDING), {}).level == "waiting"
    assert view(replace(ALERT, severity=Severity.INFO), {}).level == "waiting"


def test_that_nobody_looks_is_something_to_look_at() -> None:
    assert [one.name for one in nobody_looks(None, 10)] == ["nobody_looks"]
    assert [one.name for one in nobody_looks(LastLook("s", 31), 10)] == ["nobody_looks"]
    assert nobody_looks(LastLook("s", 29), 10) == ()


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
