"""``perdure top`` in a real terminal: what it shows, what its keys do, and what it says when something is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from perdure import Perdure
from perdure_workers.cli.top.facts import read_facts
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.facts.history import History
from support.cli import invoke
from support.cluster import PERDURE
from support.inline import run
from support.terminal import PATIENCE, Terminal
from support.waiting import wait_until

pytestmark = pytest.mark.slow

SHOP = """
from perdure import Perdure

app = Perdure()

@app.job(name="charge", bulkhead="critical", retry="none")
def charge(order: int) -> None:
    raise ValueError(f"order {order} refused\\x1b[2J")

@app.job(name="import")
def import_(number: int) -> int:
    return number
"""


class Shop:
    """An application in a folder, for this process and for commands."""

    def __init__(self, folder: Path, ledger: Path, redis_url: str) -> None:
        (folder / "shop.py").write_text(SHOP)
        self.folder = folder
        self.settings = {"ledger_url": f"sqlite:///{ledger}", "broker_url": redis_url, "home": str(folder / "home")}
        self.app = Perdure(ledger_url=self.settings["ledger_url"], broker_url=redis_url, home=self.settings["home"])
        self.charge = self.app.register(self._charge, name="charge", bulkhead="critical", retry="none")
        self.import_ = self.app.register(lambda number: number, name="import")

    @staticmethod
    def _charge(order: int) -> None:
        raise ValueError(f"order {order} refused\x1b[2J")

    @property
    def environment(self) -> dict[str, str]:
        others = {
            name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "COLUMNS", "LINES"))
        }
        return others | {f"PERDURE_{name.upper()}": value for name, value in self.settings.items()}

    def top(self, *options: str, **size: int) -> Terminal:
        command = [str(PERDURE), "-A", "shop", "top", "--every", "0.2", *options]
        return Terminal(command, self.folder, self.environment, **size)


@pytest.fixture
def shop(tmp_path: Path, migrated_sqlite: Path, redis_url: str) -> Iterator[Shop]:
    ledger = tmp_path / "ledger.sqlite3"
    ledger.write_bytes(migrated_sqlite.read_bytes())
    made = Shop(tmp_path, ledger, redis_url)
    yield made
    made.app.close()


def test_it_shows_what_is_there_within_80_by_24_and_follows_the_terminal_s_size(shop: Shop) -> None:
    for number in range(30):
        run(shop.app, shop.charge.submit(number))
    shop.import_.submit_many(range(7))
    shop.app.breakers["payments"].call(int)
    with shop.top() as terminal:
        page = terminal.await_text("charge", "import", "payments", "ValueError: order 29", "q quit")
        assert "7 queued" in page
        assert "30 dead" in page
        assert "critical" in page
        lines = [line for line in page.splitlines() if line]
        assert len(lines) == 24
        assert "order 2 " not in page
        run(shop.app, shop.charge.submit(99))
        terminal.await_text("ValueError: order 99", "31 dead")
        terminal.resize(120, 50)
        terminal.await_text("order 2 refused", "q quit")
        terminal.resize(40, 10)
        wait_until(lambda: 0 < len([line for line in terminal.shown() if line]) <= 10, PATIENCE, message=terminal.text)
        terminal.press("q")
        assert terminal.process.wait(PATIENCE) == 0


def test_keys_pause_a_bulkhead_sort_tasks_and_open_a_job(shop: Shop) -> None:
    job = shop.charge.submit(1)
    run(shop.app, job)
    with shop.top() as terminal:
        terminal.await_text("q quit", "ValueError: order 1")
        terminal.press("p")
        terminal.await_text("critical paused")
        wait_until(lambda: shop.app.bulkheads["critical"].counts.paused, PATIENCE)
        terminal.press("p")
        terminal.await_text("critical resumed")
        assert not shop.app.bulkheads["critical"].counts.paused
        terminal.press("s")
        terminal.await_text("task (slowest")
        terminal.press("\x1b[Z\r")  # back-tab: the last section, the newest death
        terminal.await_text(job.id, "attempts", "ValueError", "failed")
        terminal.press("\x1b")
        terminal.await_text("q quit", "bulkhead")
        terminal.press(f"o{job.id[-12:]}x\x7f\r")
        terminal.await_text(job.id, "attempts")
        terminal.press("\x1b")
        terminal.press("onothing\r")
        terminal.await_text("JobNotFound")
        terminal.press("q")
        assert terminal.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("end", ["q", signal.SIGTERM, signal.SIGINT])
def test_it_leaves_the_terminal_as_it_was(shop: Shop, end: Any) -> None:
    with shop.top() as terminal:
        terminal.await_text("q quit")
        assert terminal.modes() != terminal.before
        terminal.press(end) if isinstance(end, str) else terminal.process.send_signal(end)
        terminal.process.wait(PATIENCE)
        assert terminal.modes() == terminal.before


@pytest.mark.postgresql
def test_it_says_what_is_away_and_goes_on(shop: Shop, tmp_path: Path, server_dir: Path) -> None:
    with (
        RedisServer(tmp_path / "redis", die_with_parent=True) as redis,
        PostgresServer(server_dir / "top-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as postgres,
    ):
        shop.settings |= {"broker_url": redis.url, "ledger_url": postgres.create_database("top")}
        invoke(Perdure(ledger_url=shop.settings["ledger_url"]), "db", "upgrade")
        with shop.top(columns=120) as terminal:
            terminal.await_text("q quit", "critical")
            redis.stop()
            terminal.await_text("the broker is away", "critical")
            postgres.stop()
            terminal.await_text("LedgerUnavailable", "s old", "critical")
            postgres.start()
            terminal.await_none("s old")
            terminal.press("q")
            assert terminal.process.wait(PATIENCE) == 0


def test_without_a_terminal_it_prints_once(shop: Shop) -> None:
    run(shop.app, shop.charge.submit(1))
    command = [str(PERDURE), "-A", "shop", "top"]
    done = subprocess.run(command, cwd=shop.folder, env=shop.environment, capture_output=True, text=True, check=True)
    assert "ValueError: order 1 " in done.stdout
    assert "\x1b" not in done.stdout


def test_json(shop: Shop) -> None:
    run(shop.app, shop.charge.submit(1))
    found = json.loads(invoke(shop.app, "top", "--json").output)
    [bulkhead] = [one for one in found["bulkheads"] if one["name"] == "critical"]
    assert (bulkhead["ended"], bulkhead["failed"], bulkhead["paused"]) == (1, 1, False)
    assert bulkhead["rate"] > 0
    assert [(one["task"], one["error_type"]) for one in found["deaths"]] == [("charge", "ValueError")]
    assert [(one["name"], one["failed"]) for one in found["tasks"]] == [("charge", 1), ("import", 0)]
    assert (found["letters"]["open"], found["workers"], found["problems"]) == (1, [], [])


def test_a_look_costs_few_statements(shop: Shop) -> None:
    seen: list[str] = []
    history = History(shop.app)
    read_facts(shop.app, history)  # reads the whole hour
    event.listen(shop.app.ledger.database.engine, "before_cursor_execute", lambda _c, _u, sql, *_: seen.append(sql))
    read_facts(shop.app, history)
    assert len(seen) <= 20, seen
