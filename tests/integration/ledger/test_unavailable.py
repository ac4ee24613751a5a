"""A ledger that cannot be reached, or refuses to work, says so by one error and without its password."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from perdure.errors import LedgerUnavailable, SettingsError
from perdure.ledger import Ledger, half_open
from perdure.ledger.engine import Database
from perdure.system.ports import free_port
from perdure_workers.chaos.proxy import Conditions, Proxy
from support.ledgers import job, run_directly, submitted
from support.waiting import wait_until


def test_a_server_that_is_not_there() -> None:
    ledger = Ledger(f"postgresql+psycopg://ann:s3cret@127.0.0.1:{free_port()}/shop")
    with pytest.raises(LedgerUnavailable, match=r"ledger postgresql\+psycopg://ann:\*\*\*@127.0.0.1:\d+/shop") as error:
        ledger.jobs.submit([job(1)])
    assert "s3cret" not in str(error.value)


def test_a_wrong_password(postgres_url: str) -> None:
    ledger = Ledger(postgres_url.replace("postgres:", "postgres:s3cret", 1))
    with pytest.raises(LedgerUnavailable) as error:
        ledger.jobs.submit([job(1)])
    assert "s3cret" not in str(error.value)
    ledger.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable, match="file"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db").jobs.submit([job(1)])


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("Dear diary, " * 1000)
    with pytest.raises(LedgerUnavailable, match=r"ledger.db: file is not a database"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db").jobs.submit([job(1)])


def test_a_database_that_takes_no_writes(ledger: Ledger) -> None:
    """A standby server, or a file on a disk that was remounted."""
    job_id = submitted(ledger)
    postgresql = ledger.database.dialect == "postgresql"
    name = ledger.database.engine.url.database
    for_all = f'ALTER DATABASE "{name}" SET default_transaction_read_only'
    for_it = "SET SESSION CHARACTERISTICS AS TRANSACTION READ"
    for statement in [f"{for_all} = on", f"{for_it} ONLY"] if postgresql else ["PRAGMA query_only=1"]:
        run_directly(ledger, statement)
    with pytest.raises(LedgerUnavailable, match=r"read.?only"):
        ledger.jobs.submit([job(1)])
    assert ledger.jobs.get(job_id).state == "queued"
    if postgresql:
        run_directly(ledger, f"{for_it} WRITE")
        run_directly(ledger, f"{for_all} = off")
    ledger.close()
    ledger.jobs.submit([job(1)])


def test_connections_that_the_server_ended_are_replaced_without_a_word(ledger: Ledger) -> None:
    if ledger.database.dialect == "sqlite":
        return
    submitted(ledger)
    with ledger.database.engine.connect() as connection:
        others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.execute(text(f"{others} AND datname = current_database()"))
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    other = Ledger(str(ledger.database.engine.url.render_as_string(hide_password=False)))
    other.database.run(lambda c: c.execute(text(f"SELECT pg_terminate_backend({pid})")))
    gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
    wait_until(lambda: other.database.run(lambda c: c.execute(text(gone)).scalar_one()) == 0)
    submitted(ledger, 2)
    assert ledger.jobs.count("state") == {"queued": 2}
    other.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "oracle://host/db", "sqlite+nodriver:///x.db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="ledger_url"):
        Ledger(url).jobs.submit([job(1)])


def test_connections_to_a_server_that_became_a_standby_are_left(ledger: Ledger) -> None:
    """After a switchover they would stay with the server that takes no writes, and never see the new primary."""
    if ledger.database.dialect == "sqlite":
        return
    submitted(ledger)
    read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
    run_directly(ledger, read_only)
    ledger.read(lambda connection: connection.exec_driver_sql(read_only))
    submitted(ledger, 2)
    ledger.probe()
    assert ledger.jobs.count("state") == {"queued": 2}


def test_a_host_that_vanishes_is_given_up_by_the_kernel(postgres_url: str) -> None:
    """Nothing ends such a connection: without probes, who waits for an answer would wait for ever."""
    for url, idle in ((postgres_url, 4), (f"{postgres_url}?keepalives_idle=30", 30)):
        database = Database(url)
        with database.engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            with socket.socket(fileno=os.dup(driver.fileno())) as copy:  # type: ignore[attr-defined]
                options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT]
                assert copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert [copy.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [idle, 2, 3, 10_000]
        database.close()


@pytest.fixture
def through_proxy(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, Database]]:
    """A database that is soon in doubt, and the proxy in front of it."""
    monkeypatch.setattr(half_open, "PATIENCE", 0.05)
    monkeypatch.setattr(half_open, "UNDER_WAY", 0.05)
    url = make_url(postgres_url)
    assert url.port is not None
    proxy = Proxy(url.port).start()
    database = Database(url.set(port=proxy.port).render_as_string(hide_password=False))
    yield proxy, database
    database.close()
    proxy.close()


def test_an_answer_that_nobody_is_left_to_give_is_not_waited_for(through_proxy: tuple[Proxy, Database]) -> None:
    """Something in between answers the kernel's probes for a server that is gone."""
    proxy, database = through_proxy
    assert database.run(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
    proxy.impose(Conditions(gone="server"))
    assert database.run(lambda c: c.execute(text("SELECT 2")).scalar_one()) == 2
    with database.engine.connect() as connection:
        proxy.impose(Conditions(gone="server"))
        with pytest.raises(LedgerUnavailable, match="the connection is dead"), database.translating_theirs(connection):
            connection.execute(text("SELECT 3"))


def test_an_answer_that_the_server_works_on_is_waited_for(
    through_proxy: tuple[Proxy, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, database = through_proxy
    asked: list[bool] = []
    denies = half_open._denies

    def told(connection: half_open.Patient) -> bool:
        asked.append(denies(connection))
        return asked[-1]

    monkeypatch.setattr(half_open, "_denies", told)
    assert database.run(lambda c: c.execute(text("SELECT 1 FROM pg_sleep(1)")).scalar_one()) == 1
    assert False in asked
