"""A job's calls end before the job's own limit, so that a service's fallback is the job's answer."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from perdure import Perdure
from support.forks import in_children
from support.inline import run_once
from support.waiting import wait_until

pytestmark = pytest.mark.slow

HUNG = threading.Event()


@pytest.fixture
def app(migrated_sqlite: Path, tmp_path: Path, redis_url: str) -> Perdure:
    ledger = tmp_path / "ledger.sqlite3"
    ledger.write_bytes(migrated_sqlite.read_bytes())
    parts = {"retry": False, "breaker": False}
    return Perdure(
        ledger_url=f"sqlite:///{ledger}",
        broker_url=redis_url,
        resilience={"services": {"longer": {"timeout": 600, **parts}, "none": {"timeout": None, **parts}}},
    )


async def hangs() -> str:
    await asyncio.Event().wait()
    return "never"


@pytest.mark.slow
@pytest.mark.parametrize("service", ["longer", "none"])
@pytest.mark.parametrize("limit", [1.0, 3.0])
def test_the_fallback_wins_over_the_jobs_limit_in_an_asynchronous_job(app: Perdure, service: str, limit: float) -> None:
    prices = app.service(service, default="kept")

    async def price() -> str:
        return await prices.call_async(hangs)

    job = app.register(price, name="price", timeout=limit, retry="none").submit()
    assert run_once(app, job) == "succeeded"
    assert job.result() == "kept"


@pytest.mark.parametrize("service", ["longer", "none"])
def test_and_in_a_synchronous_one(app: Perdure, service: str) -> None:
    prices = app.service(service, default="kept")
    job = app.register(lambda: prices.call(HUNG.wait, 600), name="price", timeout=1, retry="none").submit()
    assert run_once(app, job) == "succeeded"
    assert job.result() == "kept"


@pytest.mark.slow
def test_and_in_a_process_that_stood_still_until_both_times_were_over(app: Perdure, tmp_path: Path) -> None:
    prices, began = app.service("longer", default="kept"), tmp_path / "began"

    async def price() -> str:
        began.write_text(str(os.getpid()))
        return await prices.call_async(hangs)

    job = app.register(price, name="price", timeout=1, retry="none").submit()

    def stand_still() -> None:
        pid = int(wait_until(lambda: began.exists() and began.read_text(), 90))
        os.kill(pid, signal.SIGSTOP)
        both_over = time.monotonic() + 1.5
        wait_until(lambda: time.monotonic() > both_over)
        os.kill(pid, signal.SIGCONT)

    stopper = threading.Thread(target=stand_still)
    stopper.start()
    assert in_children([lambda: run_once(app, job)]) == ["succeeded"]
    stopper.join()


def test_a_job_that_hangs_by_itself_still_meets_its_limit(app: Perdure) -> None:
    job = app.register(hangs, name="hang", timeout=0.3, retry="none").submit()
    assert run_once(app, job) == "dead"
    assert job.attempts()[0].outcome == "timeout"
