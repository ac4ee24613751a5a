"""What the platform checks of itself, each made to fail for real."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest
from sqlalchemy import text

from perdure import Perdure
from perdure.ledger.migrate import SCHEMA_VERSION, VERSION_TABLE
from perdure.ledger.workers import duty_reports
from perdure.manage.health import CheckResult
from perdure.manage.platform_checks import ClockOff, exact, existing_folder
from perdure_workers.supervisor.supervisor import Supervisor, default_duties
from support.ledgers import claimed
from support.waiting import wait_until

pytestmark = pytest.mark.slow


def check(app: Perdure, name: str) -> CheckResult:
    return next(one for one in app.health().checks if one.name == name)


@pytest.fixture
def add(app: Perdure) -> Any:
    return app.register(lambda n=0: n, name="add")


def register_worker(app: Perdure, bulkhead: str) -> str:
    from msgspec.structs import asdict

    from perdure_workers.recovery.incarnation import Incarnation

    incarnation = Incarnation.new("w", bulkhead, 1)
    app.ledger.workers.register({**asdict(incarnation), "lease_ttl": 5.0, "lock_path": None, "life_line": None})
    return incarnation.id


def test_jobs_without_a_worker(app: Perdure, add: Any) -> None:
    assert check(app, "workers").healthy
    add.submit()
    found = check(app, "workers")
    assert (found.healthy, app.health().status) == (False, "degraded")
    assert "normal (1 job). Start one: perdure worker normal" in found.error
    worker_id = register_worker(app, "critical")
    assert not check(app, "workers").healthy
    app.ledger.workers.set_draining(worker_id)
    worker_id = register_worker(app, "normal")
    assert check(app, "workers").healthy
    app.ledger.workers.set_draining(worker_id)  # it takes no more jobs
    assert not check(app, "workers").healthy
    app.bulkheads.pause("normal")
    assert check(app, "workers").healthy


def test_a_job_that_waits_too_long(app: Perdure, add: Any) -> None:
    job = add.submit()
    add.options(delay=3600).submit()
    assert check(app, "queue_age").healthy
    make_older(app, job.id, 301)
    found = check(app, "queue_age")
    assert not found.healthy
    assert "jobs wait in normal for 301 s, longer than queue_age_limit = 300 s" in found.error
    app.bulkheads.pause("normal")
    assert check(app, "queue_age").healthy
    app.bulkheads.resume("normal")
    claimed(app.ledger, job.id)
    assert check(app, "queue_age").healthy


def make_older(app: Perdure, job_id: str, seconds: float) -> None:
    change = text("UPDATE perdure_jobs SET run_at = run_at - :by, queued_at = queued_at - :by WHERE id = :id")
    app.ledger.read(lambda c: c.execute(change, {"by": seconds, "id": job_id}))


def test_duties_that_nobody_does(app: Perdure) -> None:
    assert check(app, "duties").healthy  # nothing has run yet
    *duties, report = default_duties(app)
    assert report.run_once() == 0  # of a supervisor that has done nothing yet
    assert check(app, "duties").healthy
    supervisor = Supervisor(duties, app.tally)
    supervisor.start()
    wait_until(lambda: all(duty.done_at for duty in duties))
    supervisor.stop()
    report.run_once()
    assert app.ledger.read(duty_reports.ages).keys() == {duty.name for duty in duties}
    assert check(app, "duties").healthy
    late = "UPDATE perdure_facts SET updated_at = updated_at - 90 WHERE name = 'duty:tick'"
    app.ledger.read(lambda c: c.execute(text(late)))
    found = check(app, "duties")
    assert not found.healthy
    assert "no supervisor has done tick for 9" in found.error
    report.run_once()
    assert check(app, "duties").healthy


def test_a_report_of_somebody_else_is_enough(app: Perdure) -> None:
    def updated(ago: float) -> float:
        change = text("UPDATE perdure_facts SET updated_at = updated_at - :ago WHERE name = 'duty:x'")
        app.ledger.read(lambda c: c.execute(change, {"ago": ago}))
        app.ledger.read(lambda c: duty_reports.report(c, ["x"], 5.0))
        return app.ledger.read(duty_reports.ages)["x"]

    app.ledger.read(lambda c: duty_reports.report(c, ["x"], 5.0))
    assert updated(4.0) >= 4.0
    assert updated(20.0) < 4.0


def test_a_disk_that_is_almost_full(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not app.settings.home_folder.path.exists()  # the disk is asked on which it would be
    assert check(app, "disk").healthy
    disk = shutil.disk_usage(existing_folder(app.settings.home_folder.path))
    monkeypatch.setattr("perdure.manage.platform_checks.LEAST_FREE", disk.free * 2)  # what is free is too little then
    found = check(app, "disk")
    assert not found.healthy
    assert "MB of free space left" in found.error


def test_a_schema_that_somebody_has_changed(app: Perdure) -> None:
    assert check(app, "schema").details == f"schema {SCHEMA_VERSION}"
    for version, told in (("0003", "run: perdure db upgrade"), ("9999", "a newer release has upgraded it")):
        change = text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
        app.ledger.transact(lambda c, change=change: c.execute(change))
        found = check(app, "schema")
        assert not found.healthy
        assert told in found.error
        assert app.health().status == "unhealthy"
    restore = text(f"UPDATE {VERSION_TABLE} SET version_num = '{SCHEMA_VERSION}'")
    app.ledger.transact(lambda c: c.execute(restore))
    assert check(app, "schema").healthy


def test_a_clock_that_is_off(app: Perdure) -> None:
    app.ledger.upgrade()
    assert check(app, "clock").healthy
    for off in (5.0, -5.0):
        with pytest.raises(ClockOff, match=r"differs from the ledger's by [45]\.\d s, more than 2 s"):
            exact(app.ledger, lambda off=off: time.time() + off)


def test_a_breaker_store_that_is_away(sqlite_app: Perdure) -> None:
    assert check(sqlite_app, "breaker_store").healthy
    urls: dict[str, Any] = {"ledger_url": sqlite_app.settings.ledger_url, "broker_url": sqlite_app.settings.broker_url}
    app = Perdure(**urls, redis_url="redis://127.0.0.1:1/0", home=sqlite_app.settings.home)
    assert not check(app, "breaker_store").healthy
    assert check(app, "broker").healthy
    assert app.health().status == "degraded"
    app.close()
