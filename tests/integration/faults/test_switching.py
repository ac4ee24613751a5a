"""Faults are switched on and off at run time in all processes that allow them, are seen, and end by themselves."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from msgspec.structs import replace

from perdure import Perdure, faults
from perdure.errors import FaultsNotAllowed, InjectedFault, InvalidFault
from perdure.faults import FaultEvent
from perdure.model.faults.places import Point, faulty
from perdure.model.metrics import FAULT_ON, FAULTS_STRUCK
from perdure_workers.embedded.redis import RedisServer
from support.cli import invoke
from support.cluster import PERDURE
from support.one_worker import adding_worker
from support.waiting import wait_until

pytestmark = pytest.mark.slow


def work() -> str:
    return "done"


def called() -> str:
    """What a call of the service comes to, wherever it was switched on."""
    try:
        return faulty(work, Point.CALL, service="mail")()
    except InjectedFault:
        return "failed"


@pytest.fixture
def elsewhere(app: Perdure) -> Iterator[Perdure]:
    """The same application as another process has it, but that nothing acts by it here."""
    other = Perdure(
        **{name: getattr(app.settings, name) for name in ("ledger_url", "broker_url", "home")}, faults_allowed=True
    )
    app.faults.let_act()
    yield other
    other.close()


def test_a_fault_that_another_process_adds_acts_here_and_is_gone_when_that_clears_it(elsewhere: Perdure) -> None:
    assert called() == "done"
    fault = elsewhere.faults.add("error", "service:mail")
    wait_until(lambda: called() == "failed", 30)
    assert elsewhere.faults.clear(fault.id) == [fault]
    wait_until(lambda: called() == "done", 30)


def test_it_ends_by_itself_and_cannot_be_left_on(app: Perdure, redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[FaultEvent] = []
    app.faults.listen(heard.append)
    with caplog.at_level(logging.WARNING, "perdure.faults"):
        fault = app.faults.add("error", "service:mail", seconds=0.2, owner="ann")
        wait_until(lambda: called() == "done", 30)
        wait_until(lambda: called() and any(event.what == "ended" for event in heard), 30)
    assert [event.what for event in heard if event.what != "struck"] == ["began", "ended"]
    assert f"{fault} is on" in caplog.text
    assert f"{fault} is over" in caplog.text
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.pttl("perdure:faults") <= 3_600_000
        forged = replace(fault, id="forged", ends_at=time.time() + 1e9)
        client.hset("perdure:faults", mapping={"forged": msgspec.json.encode(forged), "other": b"\xff{"})
    assert app.faults.list() == []


def test_while_redis_is_away_what_is_known_goes_on_to_its_end_and_what_is_added_acts_here(
    app: Perdure, server_dir: Path
) -> None:
    with RedisServer(server_dir / "faults-redis", die_with_parent=True) as server:
        alone = Perdure(
            ledger_url=app.settings.ledger_url, broker_url=server.url, home=app.settings.home, faults_allowed=True
        )
        alone.faults.add("error", "service:mail", seconds=2.0)
    assert called() == "failed"  # the server is gone
    wait_until(lambda: called() == "done", 30)
    mine = alone.faults.add("error", "service:mail")
    assert not mine.shared
    assert called() == "failed"
    assert alone.faults.list() == [mine]
    alone.close()
    assert called() == "done"


def test_it_is_seen_in_health_and_metrics(app: Perdure) -> None:
    assert next(check for check in app.health().checks if check.name == "faults").healthy
    app.faults.add("wrong_result", "service:mail", result=1, owner="ann")
    app.service("mail").call(work)
    check = next(check for check in app.health().checks if check.name == "faults")
    assert "(wrong_result on service:mail, by ann)" in check.error
    assert app.health().status == "degraded"
    [series] = [one for one in app.metrics.read() if one.metric is FAULT_ON]
    assert (series.labels, series.value) == (("wrong_result", "service:mail"), 1.0)
    assert any(count.name == FAULTS_STRUCK.name for count in app.tally.take())


def test_it_is_refused_where_the_settings_do_not_allow_it(app: Perdure, tmp_path: Path) -> None:
    app.close()
    plain = Perdure(ledger_url=app.settings.ledger_url, broker_url=app.settings.broker_url, home=tmp_path)
    assert faulty(work, Point.CALL, service="mail") is work
    with pytest.raises(FaultsNotAllowed, match="PERDURE_FAULTS_ALLOWED"):
        plain.faults.add("error", "service:mail")
    with pytest.raises(FaultsNotAllowed):
        faults.inject("error", "service:mail")
    assert plain.faults.list() == []
    assert "faults" not in {check.name for check in plain.health().checks}
    plain.close()


@pytest.mark.parametrize("target", ["task:ad", "bulkhead:norml"])
def test_a_misspelt_name_is_refused(app: Perdure, target: str) -> None:
    app.register(lambda: None, name="add")
    with pytest.raises(InvalidFault, match="Did you mean"):
        app.faults.add("error", target)


def test_the_command_line(app: Perdure) -> None:
    added = invoke(app, "faults", "add", "exception", "service:mail", "--exception", "TimeoutError", "--json")
    assert added.exit_code == 0, added.output
    [listed] = msgspec.json.decode(invoke(app, "faults", "list", "--json").stdout)
    assert listed == msgspec.json.decode(added.stdout)
    assert (listed["kind"], listed["target"], listed["at"]) == ("exception", "service:mail", ["call"])
    assert "exception" in invoke(app, "faults", "list").stdout
    with pytest.raises(TimeoutError, match="injected fault"):
        called()
    assert "1 switched off" in invoke(app, "faults", "clear", listed["id"]).stdout
    assert called() == "done"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "error", "service:maill"], "Did you mean 'mail'"),
        (["add", "error", "duty:tic"], "Did you mean 'tick'"),
        (["add", "wrong_result", "service:mail", "--result", "{"], "Write JSON"),
        (["add", "error", "service:mail", "--for", "86400"], "at most 3600 seconds"),
        (["clear", "f-1"], "no injected fault f-1 is on"),
    ],
)
def test_what_the_command_line_refuses(app: Perdure, arguments: list[str], says: str) -> None:
    assert says in str(invoke(app, "faults", *arguments).exception)
    assert app.faults.list() == []


def test_a_worker_is_told_at_run_time(
    migrated_sqlite: Path, redis_url: str, tmp_path: Path, clean_environment: None
) -> None:
    """The whole way: another process switches a fault on, a worker's child acts on it and says so, it ends by itself."""
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with adding_worker(ledger_url, redis_url, tmp_path, faults_allowed=True) as add:
        assert add.submit(1, 2).wait(timeout=60) == 3
        command = [
            "faults",
            "add",
            "wrong_result",
            "task:add",
            "--result",
            "40",
            "--for",
            "4",
            "--owner",
            "ann",
            "-A",
            "shop_of_one:app",
        ]
        settings = {"LEDGER_URL": ledger_url, "BROKER_URL": redis_url, "FAULTS_ALLOWED": "1"}
        environment = {f"PERDURE_{name}": value for name, value in settings.items()}
        subprocess.run([PERDURE, *command], cwd=tmp_path, env=environment, check=True)
        wait_until(lambda: add.submit(1, 2).wait(timeout=60) == 40, 60)
        wait_until(lambda: add.submit(1, 2).wait(timeout=60) == 3, 60)
        log = tmp_path / "worker.log"
        wait_until(lambda: "(wrong_result on task:add, by ann) is over" in log.read_text(), 60)
    assert "(wrong_result on task:add, by ann) is on" in log.read_text()
