"""The manager of `perdure up`, with a real Redis, real processes and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from perdure_workers.up.detach import start_detached
from perdure_workers.up.down import down
from perdure_workers.up.errors import NotUp, ProcessStartFailed
from perdure_workers.up.runtime import Runtime
from perdure_workers.up.status import ProcessStatus, Status, read_status
from support.processes import alive
from support.waiting import wait_until

pytestmark = pytest.mark.slow

TESTS = Path(__file__).resolve().parents[1]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is a feature of Linux")

Start = Callable[..., "subprocess.Popen[str]"]


def command(home: Path, *workers: str, stop_timeout: float = 30) -> list[str]:
    line = [sys.executable, "-m", "support.up_driver", str(home), f"--stop-timeout={stop_timeout}"]
    return [*line, *(f"--worker={worker}" for worker in workers)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder; whatever still runs in it after the test is ended by the pids that it saw."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    home = tmp_path / "home"
    yield home
    runtime = Runtime.read(home)
    identities = [runtime.manager, *(record.identity for record in runtime.processes)] if runtime else []
    for identity in identities:
        process = identity.process() if identity else None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    started = []

    def start(*workers: str, stop_timeout: float = 30) -> subprocess.Popen[str]:
        manager = subprocess.Popen(
            command(home, *workers, stop_timeout=stop_timeout),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(manager)
        return manager

    yield start
    for manager in started:
        if manager.poll() is None:
            manager.kill()
        manager.communicate()


def ready_status(home: Path) -> Status:
    def all_run() -> Status | None:
        status = read_status(home)
        if status and status["processes"] and all(process["state"] == "running" for process in status["processes"]):
            return status
        return None

    found = wait_until(all_run, timeout=20, message="all processes run")
    assert found is not None
    return found


def find(status: Status | None, name: str) -> ProcessStatus:
    assert status is not None
    return next(process for process in status["processes"] if process["name"] == name)


def all_pids(status: Status) -> list[int]:
    main = [process["pid"] for process in status["processes"] if process["pid"]]
    return main + [child for process in status["processes"] for child in process["children"]]


def test_status_tells_what_runs(home: Path, start: Start) -> None:
    manager = start("critical", "normal")
    status = ready_status(home)
    assert list(status) == ["home", "ledger_url", "redis_url", "flower_url", "processes"]
    assert status["home"] == str(home)
    assert [(p["role"], p["name"], p["bulkhead"]) for p in status["processes"]] == [
        ("redis", "redis", None),
        ("worker", "critical", "critical"),
        ("worker", "normal", "normal"),
    ]
    worker = find(status, "critical")
    assert list(worker) == ["role", "name", "bulkhead", "pid", "children", "state", "http"]
    assert worker["children"] == [child.pid for child in psutil.Process(worker["pid"]).children()]
    assert len(worker["children"]) == 1
    assert psutil.Process(worker["pid"]).ppid() == manager.pid
    with redis.Redis.from_url(status["redis_url"]) as client:
        assert client.ping()
    assert (home / "runtime.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_all_in_order(home: Path, start: Start, sig: signal.Signals) -> None:
    manager = start("critical", "normal")
    pids = all_pids(ready_status(home))
    manager.send_signal(sig)
    output, _ = manager.communicate(timeout=20)
    assert manager.returncode == 0
    assert [pid for pid in pids if alive(pid)] == []  # the workers' children too
    stopped = [line.split()[0] for line in output.splitlines() if " stopped " in line]
    assert sorted(stopped) == ["critical", "normal", "redis"]
    assert stopped[-1] == "redis"
    assert (home / "logs" / "critical.log").read_text().splitlines() == ["drained"]
    assert read_status(home) is None
    assert not (home / "runtime.json").exists()


def test_only_the_main_process_of_a_worker_is_signalled(home: Path, start: Start) -> None:
    manager = start("critical:pool")
    ready_status(home)
    manager.send_signal(signal.SIGTERM)
    manager.communicate(timeout=20)
    # A signal to the whole group would kill pool children in the middle of their jobs, before the drain.
    assert (home / "logs" / "critical.log").read_text().splitlines() == ["drained"]


def test_a_killed_worker_and_its_children_are_replaced(home: Path, start: Start) -> None:
    start("critical")
    before = find(ready_status(home), "critical")
    assert before["pid"]
    os.kill(before["pid"], signal.SIGKILL)

    def replaced() -> bool:
        now = find(read_status(home), "critical")
        return now["state"] == "running" and now["pid"] != before["pid"]

    wait_until(replaced, message="another process serves the bulkhead")
    wait_until(lambda: not any(alive(pid) for pid in before["children"]), message="the old one's children are gone")


def test_a_killed_redis_comes_back_with_its_tickets(home: Path, start: Start) -> None:
    start("critical")
    status = ready_status(home)
    with redis.Redis.from_url(status["redis_url"]) as client:
        client.config_set("appendfsync", "always")
        client.rpush("perdure.critical", "ticket")
        pid = find(status, "redis")["pid"]
        assert pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: find(read_status(home), "redis")["pid"] not in (pid, None), message="a new process")
        ready_status(home)
        assert client.llen("perdure.critical") == 1


def test_a_second_manager_is_refused_and_the_first_stays(home: Path, start: Start) -> None:
    first = start("critical")
    before = ready_status(home)
    second = start("critical")
    _, error = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"already runs on {home}: process {first.pid}" in error
    assert "perdure down" in error
    assert read_status(home) == before


def test_a_second_signal_forces_the_end(home: Path, start: Start) -> None:
    manager = start("critical:stubborn", "normal")
    status = ready_status(home)
    manager.send_signal(signal.SIGINT)
    wait_until(lambda: find(read_status(home), "normal")["state"] == "stopped", message="the first one is heard")
    assert alive(find(status, "critical")["pid"] or 0)
    manager.send_signal(signal.SIGINT)
    manager.communicate(timeout=20)
    assert manager.returncode == 130
    assert [pid for pid in all_pids(status) if alive(pid)] == []


def test_who_does_not_end_in_time_is_killed(home: Path, start: Start) -> None:
    manager = start("critical:stubborn", stop_timeout=0.2)
    pids = all_pids(ready_status(home))
    manager.send_signal(signal.SIGTERM)
    manager.communicate(timeout=20)
    assert manager.returncode == 0
    assert [pid for pid in pids if alive(pid)] == []


@linux_only
def test_a_killed_manager_leaves_no_orphan_and_the_next_one_starts(home: Path, start: Start) -> None:
    manager = start("critical:pool", "normal:pool")
    pids = all_pids(ready_status(home))
    manager.kill()
    manager.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids), message="all end with the manager")
    assert (home / "logs" / "critical.log").read_text().splitlines() == ["drained"]
    assert (home / "runtime.json").exists()
    assert read_status(home) is None  # stale: none of its processes lives

    start("critical")
    after = ready_status(home)
    assert not set(pids) & set(all_pids(after))


@linux_only
def test_what_a_dead_manager_left_is_ended_by_the_next(home: Path, start: Start) -> None:
    manager = start("critical:stubborn")
    worker = find(ready_status(home), "critical")
    left = worker["pid"]
    assert left
    manager.kill()
    manager.wait()
    assert alive(left)
    result = down(home, timeout=0.2)
    assert result.manager_pid is None
    assert result.processes[-1] == "critical"
    wait_until(lambda: not any(alive(pid) for pid in (left, *worker["children"])), 30, message="all are ended")
    with pytest.raises(NotUp):
        down(home)


def test_a_process_that_cannot_start_ends_all_and_is_quoted(home: Path, start: Start) -> None:
    manager = start("critical", "normal:broken")
    _, error = manager.communicate(timeout=20)
    assert manager.returncode == 1
    assert "normal ended with exit code 1 before it was ready" in error
    assert "no application named shop" in error
    assert not (home / "runtime.json").exists()


def test_detach_returns_when_all_are_ready_and_down_ends_them(home: Path) -> None:
    runtime = start_detached(command(home, "critical"), home, timeout=20)
    try:
        status = read_status(home)
        assert status is not None
        assert {process["state"] for process in status["processes"]} == {"running"}
        assert os.getsid(runtime.manager.pid) == runtime.manager.pid
    finally:
        result = down(home)
    assert result.manager_pid == runtime.manager.pid
    assert result.processes == ["redis", "critical"]
    assert not result.forced
    assert [pid for pid in all_pids(status) if alive(pid)] == []
    assert read_status(home) is None


def test_detach_of_a_platform_that_does_not_start_quotes_its_log(home: Path) -> None:
    with pytest.raises(ProcessStartFailed, match=r"(?s)exit code 1:.*no application named shop"):
        start_detached(command(home, "critical:broken"), home, timeout=20)


def test_down_without_up_says_so(home: Path) -> None:
    with pytest.raises(NotUp, match="perdure up --home"):
        down(home)
