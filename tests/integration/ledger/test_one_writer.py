"""SQLite has one writer at a time: others wait for it, and no longer than they have to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Semaphore

import pytest

from perdure.errors import LedgerUnavailable
from perdure.ledger import Ledger, sqlite
from support.ledgers import claimer, job, submitted


@pytest.fixture
def ledger(sqlite_url: str) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url)
    yield ledger
    ledger.close()


@pytest.fixture
def writer(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Another process' connection, in the middle of a write."""
    with closing(sqlite3.connect(str(ledger.database.sqlite_path), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Semaphore:
    """Released by each refusal of SQLite's."""
    refused, is_busy = Semaphore(0), sqlite._is_busy

    def counted(error: sqlite3.Error) -> bool:
        refused.release()
        return is_busy(error)

    monkeypatch.setattr(sqlite, "_is_busy", counted)
    return refused


def test_a_write_asks_again_until_the_writer_is_done(
    ledger: Ledger, writer: sqlite3.Connection, refused: Semaphore
) -> None:
    child = claimer(ledger)
    with ThreadPoolExecutor() as pool:
        written = pool.submit(ledger.jobs.submit, [job(1)])
        claimed = pool.submit(ledger.jobs.claim, child, 1)
        for _ in range(6):
            assert refused.acquire(timeout=30)
        assert not written.done()
        assert not claimed.done()
        writer.execute("COMMIT")
        [one] = written.result(30)
        claimed.result(30)
    assert ledger.jobs.get(one.id).id == one.id


def test_a_writer_that_takes_too_long_is_a_ledger_that_is_away(
    ledger: Ledger, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    with pytest.raises(LedgerUnavailable, match="locked"):
        ledger.jobs.submit([job(1)])
    writer.execute("ROLLBACK")
    submitted(ledger)


def test_a_file_that_another_writes_is_made_a_ledger_s_when_it_is_done(tmp_path: Path, refused: Semaphore) -> None:
    file = tmp_path / "shared.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection, ThreadPoolExecutor() as pool:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
        connection.execute("BEGIN IMMEDIATE")  # in the journal mode that SQLite begins with
        ledger = Ledger(f"sqlite:///{file}")
        written = pool.submit(ledger.jobs.submit, [job(1)])
        for _ in range(3):
            assert refused.acquire(timeout=30)
        connection.execute("COMMIT")
        assert len(written.result(30)) == 1
    ledger.close()
