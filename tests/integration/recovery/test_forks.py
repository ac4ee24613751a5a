"""Processes that fork while their threads use the platform: no child hangs, and nothing that a child wrote is lost."""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.ledger import Ledger
from support.forks import in_children
from support.ledgers import job
from support.thorough import part_of


def application(ledger_url: str, redis_url: str, home: Path) -> Perdure:
    app = Perdure(ledger_url=ledger_url, broker_url=redis_url, home=home)

    @app.job(name="tests.add")
    def add(a: int, b: int) -> int:
        return a + b

    return app


def use(app: Perdure) -> None:
    """Use whatever has locks."""
    handle = app.task("tests.add").submit(1, 2)
    assert app.jobs.get(handle.id).id == handle.id
    with app.ledger.transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
    app.breakers[f"b{random.random()}"].call(lambda: 1)
    _ = app.celery
    logging.getLogger("tests.forks").debug("used")


@pytest.mark.slow
def test_children_forked_beside_busy_threads_work(
    migrated_url: str, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tests.forks")
    apps = [application(migrated_url, redis_url, tmp_path)]
    stop = threading.Event()
    failed: list[BaseException] = []

    def busy() -> None:
        while not stop.is_set():
            try:
                use(apps[-1])
            except BaseException as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(part_of(80)):
            if number % 3 == 0:  # one whose parts are all still to be made
                apps.append(application(migrated_url, redis_url, tmp_path))
            in_children([lambda: use(apps[-1])], within=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failed
    for app in apps:
        app.close()


def test_what_a_child_writes_outlives_its_parents_connections(ledger: Ledger) -> None:
    """As under a web server that loads the application, uses the ledger and forks its workers, and reloads later."""
    ledger.jobs.submit([job(1)])
    context = multiprocessing.get_context("fork")
    wrote, closed = context.Event(), context.Event()

    def work() -> None:
        ledger.jobs.submit([job(2)])
        wrote.set()
        assert closed.wait(30)
        ledger.jobs.submit([job(3)])

    child = context.Process(target=work)
    child.start()
    assert wrote.wait(30)
    ledger.jobs.submit([job(4)])
    ledger.close()
    closed.set()
    child.join(30)
    assert child.exitcode == 0
    assert ledger.jobs.count("state") == {"queued": 4}


def test_a_transaction_that_is_open_holds_a_fork_off(ledger: Ledger) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM perdure_jobs")
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(30)
    threading.Timer(0.3, leave.set).start()
    in_children([lambda: ledger.jobs.submit([job(1)])], within=30)
    thread.join(30)


def test_a_fork_inside_of_ones_own_transaction_waits_for_nobody(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.system.fork_gate.LONGEST_WAIT", 3600.0)
    with ledger.transaction():
        in_children([lambda: None])
