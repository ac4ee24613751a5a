"""Health: what works, what does not, and what hangs."""

from __future__ import annotations

import threading

from perdure import Perdure
from perdure.manage.health import Health


def test_all_is_well(app: Perdure) -> None:
    report = app.health()
    assert report.status == "healthy"
    assert [one.name for one in report.checks] == [
        "ledger", "broker", "breakers", "bulkheads", "workers", "queue_age", "duties", "disk"
    ]  # fmt: skip
    assert all(one.healthy for one in report.checks)


def test_an_open_breaker_and_a_full_bulkhead_degrade_the_platform(migrated_url: str, redis_url: str) -> None:
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, bulkheads={"critical": {"max_depth": 2}})
    app.register(lambda: None, name="wait", bulkhead="critical").submit_many([(), ()])
    app.breakers["payments"].force_open(reason="maintenance")
    found = {one.name: one.error for one in app.health().checks if not one.healthy}
    assert app.health().status == "degraded"
    assert found["breakers"] == "CircuitOpenNow: payments is open: maintenance"
    assert "critical" in found["bulkheads"]
    app.breakers["payments"].reset()
    assert [one.name for one in app.health().checks if not one.healthy] == ["bulkheads", "workers"]


def test_without_its_broker_the_platform_is_degraded_and_accepts_jobs(ledger_url: str) -> None:
    app = Perdure(ledger_url=ledger_url, broker_url="redis://127.0.0.1:1/0")
    app.ledger.upgrade()
    report = app.health()
    assert report.status == "degraded"
    assert "broker" in [one.name for one in report.checks if not one.healthy]


def test_without_its_ledger_the_platform_is_unhealthy(redis_url: str) -> None:
    app = Perdure(ledger_url="postgresql://nobody@127.0.0.1:1/none", broker_url=redis_url)
    report = app.health()
    assert report.status == "unhealthy"
    assert "LedgerUnavailable" in next(one.error for one in report.checks if one.name == "ledger")


def test_a_check_that_hangs_fails_alone() -> None:
    health, never = Health(), threading.Event()
    health.register("hangs", never.wait, timeout=0.05)
    health.register("works", lambda: None)
    report = health()
    never.set()
    assert report.status == "unhealthy"
    assert {one.name: one.healthy for one in report.checks} == {"hangs": False, "works": True}
    assert "0.05 s" in report.checks[0].error
