"""The connection that tells of a worker's end: it closes with the process, whatever the process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from perdure import Perdure
from perdure.ledger.workers.connection_lock import LifeLine
from support.waiting import wait_until

Register = Callable[..., str]

HOLD = """
import os, sys, time
from perdure.ledger import Ledger
line = Ledger(sys.argv[1]).workers.life_line(sys.argv[2])
assert line.beat() == "healthy"
child = os.fork()
if child == 0:
    time.sleep(600)  # as a child that is busy with a job when its parent is killed
print(child, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def app(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Perdure]:
    made = Perdure(ledger_url=postgres_url, broker_url=redis_url, home=tmp_path / "home")
    made.ledger.upgrade()
    yield made
    made.close()


@pytest.fixture
def line(app: Perdure, register: Register) -> Iterator[LifeLine]:
    """A line of this process; its worker is silent as soon as it has beaten."""
    made = app.ledger.workers.life_line(register(lease_ttl=0.0))
    assert made is not None
    made.beat()
    yield made
    made.close()


def hung_up(app: Perdure) -> list[bool]:
    return [worker.hung_up for worker in app.ledger.workers.silent(10)]


def end_backends(app: Perdure) -> None:
    """Cut every connection but the one that this is said on."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    app.ledger.read(lambda connection: connection.execute(text(others + "pg_backend_pid()")))


def test_killed_process_hangs_up_though_its_child_lives(app: Perdure, register: Register, postgres_url: str) -> None:
    command = [sys.executable, "-c", HOLD, postgres_url, register(lease_ttl=0.0)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert hung_up(app) == [False]

        holder.kill()

        wait_until(lambda: hung_up(app) == [True])
        os.kill(child, 0)  # it is there
        os.kill(child, signal.SIGKILL)


def test_stopped_process_has_not_hung_up(app: Perdure, line: LifeLine) -> None:
    assert hung_up(app) == [False]  # it beats no more, but its connection is open


def test_line_that_was_cut_is_taken_again(app: Perdure, line: LifeLine) -> None:
    end_backends(app)
    wait_until(lambda: hung_up(app) == [True])

    assert line.beat() == "healthy"
    assert hung_up(app) == [False]


def test_restarted_server_proves_nothing(app: Perdure, line: LifeLine) -> None:
    app.ledger.read(lambda connection: connection.execute(text("UPDATE perdure_workers SET life_line = life_line - 1")))
    end_backends(app)

    assert hung_up(app) == [False]


def test_closed_line_frees_its_lock(app: Perdure, line: LifeLine) -> None:
    line.close()

    wait_until(lambda: hung_up(app) == [True])


def test_sqlite_has_none(tmp_path: Path) -> None:
    with_file = Perdure(ledger_url=f"sqlite:///{tmp_path / 'l.sqlite3'}", home=tmp_path / "home")
    assert with_file.ledger.workers.life_line("w") is None
    with_file.close()
