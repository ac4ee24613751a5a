"""What a worker and a supervisor answer to probes over HTTP, and where they say that they do."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from perdure import Perdure
from perdure_workers.embedded.errors import PortTaken
from perdure_workers.monitoring.http import MOST, Page, PageServer
from perdure_workers.recovery import probes
from perdure_workers.recovery.probes import serve_probes
from perdure_workers.recovery.pulse import PATIENCE as PULSE_PATIENCE
from perdure_workers.recovery.pulse import Pulse
from support.waiting import wait_until

pytestmark = pytest.mark.slow


def ask(url: str) -> tuple[int, str]:
    """The status and the text of a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


class Process:
    """A process that serves probes."""

    def __init__(self, app: Perdure) -> None:
        self.app, self.wrong = app, ""
        self.pulse = Pulse(app.settings.home_folder.path, "normal")
        server = serve_probes(app, self.pulse, lambda: self.wrong)
        assert server is not None
        self.server = server

    def status(self, path: str) -> tuple[int, str]:
        return ask(self.server.url + path)


@pytest.fixture
def process(sqlite_app: Perdure) -> Iterator[Process]:
    app = Perdure(**{**msgspec.structs.asdict(sqlite_app.settings), "http_port": 0})
    process = Process(app)
    yield process
    process.server.stop()
    app.close()


def test_a_process_lives_while_its_main_loop_goes_round(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.status("/livez") == (200, "ok\n")  # it is starting
    process.pulse.beat()
    assert process.status("/livez") == (200, "ok\n")
    monkeypatch.setattr(process.pulse, "_beat_at", time.monotonic() - PULSE_PATIENCE - 5)
    for path in ("/livez", "/readyz"):
        status, told = process.status(path)
        assert (status, told) == (503, "the main loop has not gone round for 25 s\n")


def test_a_process_is_ready_that_has_what_it_needs(process: Process) -> None:
    process.pulse.beat()
    assert process.status("/readyz") == (200, "ok\n")
    process.wrong = "the worker drains"
    assert process.status("/readyz") == (503, "the worker drains\n")
    assert process.status("/livez") == (200, "ok\n")


def test_the_platform_s_health_and_metrics(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRESH", 0.0)
    status, told = process.status("/healthz")
    report = json.loads(told)
    assert (status, report["status"]) == (200, "healthy")
    assert "ledger" in [one["name"] for one in report["checks"]]
    file = process.app.ledger.database.sqlite_path
    assert file is not None
    process.app.ledger.close()
    file.rename(file.with_suffix(".away"))
    file.mkdir()  # nothing can be opened there
    wait_until(lambda: process.status("/healthz")[0] == 503, 30)
    assert 'perdure_up{part="redis"} 1.0' in process.status("/metrics")[1]


def test_nothing_is_served_unless_it_is_wanted(sqlite_app: Perdure) -> None:
    assert serve_probes(sqlite_app, Pulse(sqlite_app.settings.home_folder.path, "normal"), lambda: "") is None


def test_a_port_that_is_taken(process: Process, sqlite_app: Perdure) -> None:
    app = Perdure(**{**msgspec.structs.asdict(sqlite_app.settings), "http_port": process.server.server_port})
    with pytest.raises(PortTaken, match="another process has that port"):
        serve_probes(app, process.pulse, lambda: "")
    app.close()


def test_callers_that_say_nothing_keep_nobody_from_being_answered() -> None:
    server = PageServer("127.0.0.1", 0, {"/livez": lambda: Page(b"ok")})
    server.start()
    silent = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(MOST - 1)]
    assert ask(f"{server.url}/livez") == (200, "ok")
    for each in silent:
        each.close()
    server.stop()
