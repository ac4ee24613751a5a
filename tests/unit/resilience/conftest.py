"""Drivers in processes of their own, and a Redis that a test may kill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure_workers.embedded.redis import RedisServer


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


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may kill and start again."""
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        yield server
