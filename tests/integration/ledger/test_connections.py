"""Connections of a process: as few as it uses at once, and the last ones are at hand."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.pool import QueuePool

from perdure.errors import LedgerUnavailable
from perdure.ledger import Ledger, direct, driver
from perdure.ledger.driver import DriverConnection
from perdure.ledger.faults import Refused, breaks_a_constraint
from support.ledgers import job, run_directly, submitted
from support.waiting import wait_until


def driven(connection: Connection | DriverConnection) -> Any:
    return connection.raw if isinstance(connection, DriverConnection) else connection.connection.driver_connection


def hot(ledger: Ledger, work: Any = driven) -> Any:
    """Return what work returns where hot statements are run."""
    return ledger.database.run(work, autocommit=True, hot=True)


def used(ledger: Ledger) -> int:
    pool = ledger.database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


def test_one_serves_statements_and_transactions(ledger: Ledger) -> None:
    submitted(ledger)
    found = ledger.read(driven)
    with ledger.transaction() as connection:
        assert driven(connection) is found
    assert ledger.read(driven) is found


def test_who_finds_it_in_use_takes_another_and_one_stays_at_hand(ledger: Ledger) -> None:
    submitted(ledger)
    assert ledger.read(lambda first: ledger.read(lambda second: driven(first) is driven(second))) is False
    assert used(ledger) == 1


def test_it_is_not_kept_when_something_fails(ledger: Ledger) -> None:
    submitted(ledger)
    try:
        ledger.read(lambda _: 1 / 0)
    except ZeroDivisionError:
        assert used(ledger) == 0


def test_hot_statements_have_one_of_their_own_which_is_not_kept_when_something_fails(ledger: Ledger) -> None:
    found = hot(ledger)
    submitted(ledger)
    assert hot(ledger) is found
    with pytest.raises(ZeroDivisionError):
        hot(ledger, lambda _: 1 / 0)
    assert hot(ledger) is not found


def test_so_many_at_once_and_no_more(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PATIENCE", 0.01)
    submitted(ledger)
    together = Barrier(driver.MOST + 1)

    def hold(connection: DriverConnection) -> Any:
        together.wait(60)  # all of them are in use
        together.wait(60)
        return driven(connection)

    with ThreadPoolExecutor(driver.MOST) as pool:
        held = [pool.submit(hot, ledger, hold) for _ in range(driver.MOST)]
        together.wait(60)
        with pytest.raises(LedgerUnavailable, match="in use"):
            submitted(ledger)
        together.wait(60)
        assert len({id(one.result(60)) for one in held}) == driver.MOST
    assert len(ledger.database._hot._idle) == driver.KEPT


def test_who_waits_gets_the_one_that_is_given_back(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "MOST", 1)
    submitted(ledger)
    goes_on = Event()

    def hold(connection: DriverConnection) -> Any:
        assert goes_on.wait(60)
        return driven(connection)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(hot, ledger, hold)
        wait_until(lambda: not ledger.database._hot._idle)
        others = [pool.submit(hot, ledger) for _ in range(2)]
        wait_until(lambda: ledger.database._hot._waiting == 2)
        goes_on.set()
        assert [other.result(60) is first.result(60) for other in others] == [True, True]


def test_a_child_leaves_its_parent_s_alone_and_has_its_own(ledger: Ledger) -> None:
    submitted(ledger)
    found = hot(ledger)
    child = os.fork()
    if not child:
        try:
            os._exit(0 if hot(ledger) is not found and len(ledger.jobs.submit([job(2)])) == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    submitted(ledger, 3)
    assert ledger.jobs.count("state") == {"queued": 3}


def test_what_fails_in_a_transaction_is_not_written(ledger: Ledger) -> None:
    job_id = submitted(ledger)

    def twice(connection: DriverConnection) -> None:
        direct.run(connection, "UPDATE perdure_jobs SET priority = :p WHERE id = :id", {"p": 9, "id": job_id})
        assert direct.rows(connection, "SELECT '100%' WHERE :n % 2 = 1", {"n": 3}) == [("100%",)]
        for _ in range(2):
            direct.run(
                connection, "INSERT INTO perdure_facts (name, value, updated_at) VALUES (:name, '', 0)", {"name": "a"}
            )

    with pytest.raises(Refused, match="INSERT INTO perdure_facts") as refused:
        ledger.database.run(twice, hot=True)
    assert breaks_a_constraint(refused.value)
    assert ledger.jobs.get(job_id).priority != 9
    assert run_directly(ledger, "SELECT count(*) FROM perdure_facts WHERE name = 'a'") == [(0,)]


def test_who_listens_to_statements_hears_of_the_hot_ones(ledger: Ledger) -> None:
    heard: list[str] = []
    event.listen(ledger.database.engine, "before_cursor_execute", lambda _c, _u, sql, *_: heard.append(sql))
    submitted(ledger)
    assert any("INSERT INTO perdure_jobs" in sql for sql in heard)
