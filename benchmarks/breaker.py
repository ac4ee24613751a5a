"""What a breaker adds to a call, closed and open, beside pybreaker with its Redis storage, and permits per second.

    python -m benchmarks breaker

All run in one process, in turns of a few hundred calls, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pybreaker
import redis

from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.config import DEFAULT_MAX_STALENESS_S, BreakerConfig
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.limits.permits import Permits, PermitsConfig
from perdure_workers.embedded.redis import RedisServer

ROUNDS, CALLS = 30, 200


def nothing() -> None:
    """Do what a breaker guards."""
    return


def ours(url: str, name: str, staleness: float, *, is_open: bool) -> Callable[[], object]:
    """Return a call through perdure's breaker; ``staleness`` in seconds."""
    breaker = CircuitBreaker(url, name, BreakerConfig(max_staleness=staleness))
    if is_open:
        breaker.force_open()

    def call() -> None:
        with suppress(CircuitOpen):
            breaker.call(nothing)

    return call


def theirs(url: str, name: str, *, is_open: bool) -> Callable[[], object]:
    """Return a call through pybreaker's."""
    storage = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, redis.Redis.from_url(url), namespace=name)
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=3600, state_storage=storage)
    if is_open:
        breaker.open()

    def call() -> None:
        with suppress(pybreaker.CircuitBreakerError):
            breaker.call(nothing)

    return call


def permit(url: str) -> Callable[[], object]:
    """Return a call that takes a permit and gives it back."""
    permits = Permits(url, "bench", PermitsConfig(limit=10))
    return lambda: permits.acquire("a").release()


def measure(subjects: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median of the rounds' microseconds per call, by subject."""
    took: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, call in subjects.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            took[name].append((time.perf_counter() - began) / CALLS * 1e6)
    return {name: statistics.median(times) for name, times in took.items()}


def main() -> None:
    """Run everything on a Redis of its own and print a table."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder), die_with_parent=True) as server:
        compare(server.url)


def compare(url: str) -> None:
    """Measure all subjects on one Redis and print a table."""
    client = redis.Redis.from_url(url)
    client.flushdb()
    subjects: dict[str, Callable[[], object]] = {"one PING": client.ping}
    for state, is_open in (("closed", False), ("open", True)):
        subjects[f"pybreaker, {state}"] = theirs(url, f"p-{state}", is_open=is_open)
        subjects[f"perdure, {state}"] = ours(url, f"a-{state}", DEFAULT_MAX_STALENESS_S, is_open=is_open)
        subjects[f"perdure, {state}, max_staleness=0"] = ours(url, f"b-{state}", 0.0, is_open=is_open)
    subjects["permit: acquire and release"] = permit(url)
    measured = measure(subjects)
    for name, micros in measured.items():
        print(f"{name:40} {micros:8.1f} us   {1e6 / micros:9.0f} /s")
    for state in ("closed", "open"):
        for name in (f"perdure, {state}", f"perdure, {state}, max_staleness=0"):
            ratio = measured[f"pybreaker, {state}"] / measured[name]
            print(f"pybreaker, {state}, costs {ratio:.1f} times as much as {name}")
