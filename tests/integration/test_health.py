"""Health: what works, what does not, and what hangs."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
import time

import pytest

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.manage.health import Health, HealthReport


def test_all_is_well(app: Perdure) -> None:
    report = app.health()
    assert report.status == "healthy"
    assert [one.name for one in report.checks] == [
        "ledger", "schema", "clock", "broker", "breaker_store", "breakers", "bulkheads", "workers", "nodes", "queue_age",
        "duties", "disk", *(["dead_rows"] if app.ledger.database.dialect == "postgresql" else []),
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


def test_checks_that_hang_take_one_thread_each_however_often_they_are_asked() -> None:
    health, never, started = Health(), threading.Event(), []

    def hangs() -> None:
        started.append(threading.current_thread())
        never.wait()

    health.register("hangs", hangs, timeout=0.02)
    for _ in range(20):
        assert health().status == "unhealthy"
    assert len(started) == 1
    never.set()
    started[0].join()
    assert health().status == "healthy", "asked again as soon as it has ended"


def test_a_process_ends_while_a_check_hangs() -> None:
    code = "import threading; from perdure.manage.health import Health; h = Health(); "
    code += "h.register('hangs', threading.Event().wait, timeout=0.05); print(h().status)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "unhealthy\n"


async def answers_nothing() -> None:
    await asyncio.Event().wait()


async def is_wrong() -> bool:
    await asyncio.sleep(0)
    return False


async def has_details() -> dict[str, int]:
    await asyncio.sleep(0)
    return {"connections": 3}


def asked(health: Health, *, in_loop: bool) -> HealthReport:
    return asyncio.run(health.call_async()) if in_loop else health()


@pytest.mark.parametrize("in_loop", [False, True])
def test_what_a_check_may_be(in_loop: bool) -> None:
    health = Health()
    health.register("false", lambda: False)
    health.register("async false", is_wrong)
    health.register("async hangs", answers_nothing, timeout=0.05)
    health.register("exits", lambda: sys.exit("gone"))
    health.register("partial", functools.partial(is_wrong))
    health.register("details", has_details)
    health.register("text", lambda: "replica 2 of 3")
    health.register("zero is no False", lambda: 0)
    found = {one.name: one for one in asked(health, in_loop=in_loop).checks}
    assert {name: one.error for name, one in found.items() if one.error} == {
        "false": "the check returned False",
        "async false": "the check returned False",
        "async hangs": "no answer within 0.05 s",
        "exits": "SystemExit: gone",
        "partial": "the check returned False",
    }
    assert found["details"].details == {"connections": 3}
    assert found["text"].details == "replica 2 of 3"


def test_durations_are_those_of_each_check() -> None:
    health, quick_ended = Health(), threading.Event()

    def slow() -> None:
        quick_ended.wait(30)
        time.sleep(0.3)

    health.register("slow", slow)
    health.register("quick", quick_ended.set)
    took = {one.name: one.seconds for one in health().checks}
    assert took["slow"] >= 0.3 > took["quick"]


def test_a_report_is_kept_for_a_while_where_asked() -> None:
    health, asked_times = Health(), []
    health.register("counts", lambda: asked_times.append(1))
    first = health()
    assert health(max_age=60) is first
    assert asyncio.run(health.call_async(max_age=60)) is first
    assert len(asked_times) == 1
    assert health() is not first
    health.register("another", lambda: False)
    assert health(max_age=60).status == "unhealthy", "a new check is not hidden by an old report"
    health.unregister("another")
    assert health(max_age=60).status == "healthy"
    assert first.at <= health().at


def test_a_time_limit_must_be_one() -> None:
    with pytest.raises(SettingsError, match="'db': timeout must be a finite number above 0, not 0"):
        Health().register("db", lambda: None, timeout=0)
