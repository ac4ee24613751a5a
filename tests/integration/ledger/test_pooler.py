"""A ledger behind PgBouncer in transaction mode: found by itself, and without what lives in a session."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from perdure.errors import SettingsError
from perdure.ledger.engine import Database
from perdure.system.ports import free_port
from support.one_worker import adding_worker
from support.waiting import wait_until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
#: More than psycopg's threshold for preparing a statement, and than the pooler has sessions.
MANY = 12


@pytest.fixture
def pooled_url(postgres_url: str, server_dir: Path) -> Iterator[str]:
    """URL of the database behind a PgBouncer with two sessions."""
    if PGBOUNCER is None:
        pytest.skip("needs pgbouncer")
    url, port = make_url(postgres_url), free_port()
    folder = server_dir / f"pgbouncer-{port}"
    folder.mkdir(mode=0o777)
    (folder / "users").write_text(f'"{url.username}" "{url.password}"\n')
    (folder / "ini").write_text(
        f"[databases]\n* = host={url.host} port={url.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users\npool_mode = transaction\n"
        "default_pool_size = 2\nignore_startup_parameters = extra_float_digits\nserver_round_robin = 1\n"
    )
    as_somebody = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([PGBOUNCER, "-q", folder / "ini"], stderr=subprocess.DEVNULL, **as_somebody)  # type: ignore[call-overload]
    pooled = url.set(port=port).render_as_string(hide_password=False)

    def answers() -> bool:
        try:
            psycopg.connect(make_url(pooled).set(drivername="postgresql").render_as_string(hide_password=False)).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers)
    yield pooled
    process.kill()
    process.wait()


def test_it_is_found_and_statements_repeat(pooled_url: str) -> None:
    database = Database(pooled_url)
    with database.engine.connect() as one, database.engine.connect() as other:
        for number in range(MANY):
            for connection in (one, other):
                assert connection.execute(text("SELECT :n + 1"), {"n": number}).scalar_one() == number + 1
                connection.rollback()
    assert database.pooler.found is True
    database.close()


def test_a_worker_works_behind_it(pooled_url: str, redis_url: str, tmp_path: Path) -> None:
    with adding_worker(pooled_url, redis_url, tmp_path) as add:
        jobs = [add.submit(number, 1) for number in range(MANY)]
        assert [job.wait(timeout=30) for job in jobs] == list(range(1, MANY + 1))
    log = (tmp_path / "worker.log").read_text()
    assert "prepared statement" not in log.replace("no prepared statements", "")


def test_a_server_without_a_pooler_keeps_its_prepared_statements(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.engine.connect() as connection:
        assert database.pooler.found is False
        assert connection.connection.dbapi_connection.prepare_threshold is not None  # type: ignore[union-attr]
    database.close()


def test_the_url_may_say_it(postgres_url: str) -> None:
    database = Database(f"{postgres_url}?pooler=transaction")
    with database.engine.connect() as connection:
        assert connection.connection.dbapi_connection.prepare_threshold is None  # type: ignore[union-attr]
    database.close()
    with pytest.raises(SettingsError, match=r"\?pooler= must be one of auto, transaction, none"):
        Database(f"{postgres_url}?pooler=session")
