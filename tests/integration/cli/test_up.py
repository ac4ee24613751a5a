"""``perdure up`` as people use it: in a folder, with nothing configured."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
import redis

from perdure import Perdure
from perdure.system.ports import free_port
from perdure_workers.embedded.ports import listens
from support.waiting import wait_until

pytestmark = pytest.mark.slow

PERDURE = Path(sys.executable).with_name("perdure")
APP = """
from typing import Annotated
from perdure import JobContext, NodeUnfit, Perdure, Secret

app = Perdure()

@app.job(name="up.pay", bulkhead="critical", retry="none")
def pay(card: Annotated[str, Secret], fails: bool = False) -> str:
    if fails:
        raise ValueError(f"card {card}\\n2026-01-01 forged \\x1b[2J")
    return f"paid by {card}"

@app.job(name="up.write", bulkhead="critical", retry="none")
def write(ctx: JobContext) -> int:
    if ctx.attempt == 1:
        raise NodeUnfit("the disk is read-only")
    return ctx.attempt
"""


def perdure(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    return subprocess.run(
        [PERDURE, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


class Greeter(BaseHTTPRequestHandler):
    """Another program's web server, which answers as Flower does."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Greeter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_port_of_somebody_else_is_refused(tmp_path: Path, foreign: int, clean_environment: None) -> None:
    for arguments in (["up", "--detach"], ["up"]):
        ended = perdure(tmp_path, *arguments, "--flower-port", str(foreign))
        assert ended.returncode == 1
        assert f"Flower cannot listen on 127.0.0.1:{foreign}: another process has that port" in ended.stdout + ended.stderr
        assert "password" not in ended.stdout
        assert "Traceback" not in ended.stderr
        assert perdure(tmp_path, "status").returncode == 1


def test_flower_alone_says_whose_port_it_is(tmp_path: Path, foreign: int, clean_environment: None) -> None:
    ended = perdure(tmp_path, "flower", "--port", str(foreign))
    assert ended.returncode == 1
    assert "another process has that port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_listens(foreign: int) -> None:
    assert listens(os.getpid(), foreign)
    assert not listens(os.getppid(), foreign)
    assert not listens(os.getpid(), free_port())
    with socket.create_connection(("127.0.0.1", foreign)) as connected:
        assert not listens(os.getpid(), connected.getsockname()[1])
    assert not listens(2**22 + 1, foreign)


@pytest.mark.timeout(240)
def test_a_whole_platform(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "up_shop.py").write_text(APP)
    home = tmp_path / ".perdure"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    up = perdure(tmp_path, "up", "-A", "up_shop", "--detach", "--flower-port", str(free_port()), "-c", "critical=1")
    try:
        assert up.returncode == 0, up.stderr
        password = (home / "redis.password").read_text()
        assert {stat.S_IMODE(path.stat().st_mode) for path in (home, home / "logs")} == {0o700}
        assert stat.S_IMODE((home / "redis.password").stat().st_mode) == 0o600

        status = perdure(tmp_path, "status")
        assert (status.returncode, password in status.stdout, "redis://:***@" in status.stdout) == (0, False, True)
        assert password not in perdure(tmp_path, "status", "--json").stdout + up.stdout + up.stderr
        port = int((home / "redis.port").read_text())
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        others = [process for process in psutil.process_iter(["cmdline"]) if process.pid != os.getpid()]
        commands = [" ".join(process.info["cmdline"] or ()) for process in others]
        assert not any(password in command for command in commands)

        app = Perdure()
        assert app.settings.effective_broker_url == f"redis://:{password}@127.0.0.1:{port}/0"
        submitted = perdure(tmp_path, "submit", "up.pay", "--args", '["hunter2-4711"]', "--wait", "--timeout", "60")
        assert (submitted.returncode, "succeeded" in submitted.stdout) == (0, True), submitted.stderr
        failed = perdure(tmp_path, "submit", "up.pay", "--args", '["hunter2-4711", true]', "--wait", "--timeout", "60")
        assert failed.returncode == 3
        shown = submitted.stdout + failed.stdout + failed.stderr + perdure(tmp_path, "dead", "list", "--json").stdout
        assert "hunter2" not in shown
        a_node_is_in_doubt(app, tmp_path)
        app.close()
        logs = "".join(file.read_text() for file in (home / "logs").iterdir())
        assert "hunter2" not in logs
        assert password not in logs
        assert "\x1b[2J" not in logs
        assert not re.search(r"^2026-01-01 forged", logs, re.MULTILINE)
    finally:
        assert perdure(tmp_path, "down").returncode == 0


def a_node_is_in_doubt(app: Perdure, folder: Path) -> None:
    """A job finds its node unfit: the worker drains, is started again, and says so; then a vote is lost there."""
    [before] = [each for each in app.workers.list() if each.bulkhead == "critical"]
    job = app.register(lambda: None, name="up.write", bulkhead="critical").submit()
    assert job.wait(60) == 2
    assert [attempt.outcome for attempt in job.attempts()] == ["crashed", "succeeded"]
    events = [(event.target, event.reason) for event in app.workers.events(name=before.name)]
    assert ("unfit", "the disk is read-only") in events
    [after] = [each for each in app.workers.list() if each.bulkhead == "critical" and not each.draining]
    assert after.pid != before.pid
    app.workers.outvoted(after.name, "its answer in a test is not the majority's")
    said = f"{after.name} was outvoted 1 times"
    assert said in perdure(folder, "status").stdout.replace("\n", " ")
    assert said in json.loads(perdure(folder, "status", "--json").stdout)["nodes"]


RELOADED = """
import time
from pathlib import Path
from perdure import Perdure

app = Perdure()

@app.job(name="up.version", bulkhead="critical")
def version() -> str:
    return "one"

@app.job(name="up.hold", bulkhead="critical")
def hold() -> str:
    Path("holds").touch()
    while not Path("release").exists():
        time.sleep(0.01)
    return "one"
"""


@pytest.mark.timeout(240)
def test_a_changed_file_restarts_workers_after_their_jobs(
    tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, log = tmp_path / "up_reloaded.py", tmp_path / ".perdure" / "logs" / "up.log"
    source.write_text(RELOADED)
    up = perdure(tmp_path, "up", "-A", "up_reloaded", "--reload", "--detach", "--no-flower", "-c", "critical=1")
    try:
        assert up.returncode == 0, up.stderr
        app = Perdure()
        hold = app.register(lambda: None, name="up.hold", bulkhead="critical")
        version = app.register(lambda: None, name="up.version", bulkhead="critical")
        [worker] = [each.pid for each in app.workers.list() if each.bulkhead == "critical"]
        held = hold.submit()
        wait_until((tmp_path / "holds").exists, 60)

        source.write_text(RELOADED + "\ndef broken(:\n")
        wait_until(lambda: "nothing is restarted" in log.read_text(), 60)
        source.write_text(RELOADED.replace('"one"', '"the second"'))
        wait_until(lambda: any(each.draining for each in app.workers.list()), 60)
        late = version.submit()
        (tmp_path / "release").touch()

        assert held.wait(60) == "one"
        assert [attempt.outcome for attempt in held.attempts()] == ["succeeded"]
        assert late.wait(60) == "the second"
        assert worker not in [each.pid for each in app.workers.list()]
        assert "up_reloaded.py changed: restarting" in log.read_text()
        assert "exit code" not in log.read_text()  # nobody died
        app.close()
    finally:
        assert perdure(tmp_path, "down").returncode == 0
