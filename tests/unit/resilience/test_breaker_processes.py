"""Several processes, one breaker: trial calls are counted, dead probers replaced, Redis may go and come back."""

from __future__ import annotations

import logging
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
import redis

from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig, BreakerState
from perdure.resilience.breaker.events import BreakerEvent, CircuitOpen

pytestmark = pytest.mark.slow

Drivers = Callable[..., "subprocess.Popen[str]"]
Until = Callable[..., None]
PROCESSES = 4


@pytest.mark.parametrize("permits", [1, 3])
def test_several_processes_get_exactly_the_permitted_trial_calls_per_recovery_period(
    redis_url: str, drivers: Drivers, until: Until, permits: int
) -> None:
    client = redis.Redis.from_url(redis_url)
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(recovery_timeout=0.3))
    breaker.force_open(lasts=600)
    for _ in range(PROCESSES):
        drivers("breaker_driver.py", "hammer", redis_url, permits)
    until(lambda: int(client.get("ready") or 0) == PROCESSES, "all processes")
    breaker.force_open(lasts=0.2)
    until(lambda: breaker.snapshot().opened >= 5, "three recovery periods")

    calls = [int(at) for at in client.lrange("calls", 0, -1)]
    probed = sorted(change.at_ms for change in breaker.history() if change.to_state == "half_open")
    assert len(probed) >= 3
    per_period = [sum(start <= at < end for at in calls) for start, end in pairwise(probed)]
    assert per_period == [permits] * len(per_period)
    assert min(calls) >= probed[0]

    client.set("healthy", 1)
    until(lambda: breaker.state is BreakerState.CLOSED, "the breaker to close")
    until(lambda: int(client.get("succeeded") or 0) >= 100, "calls to flow again")
    client.set("stop", 1)


def test_when_it_opens_no_process_makes_more_than_the_call_that_it_had_begun(
    redis_url: str, drivers: Drivers, until: Until
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.set("healthy", 1)
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(recovery_timeout=1))
    pids = [drivers("breaker_driver.py", "flow", redis_url, 1).pid for _ in range(PROCESSES)]
    until(lambda: all(int(client.get(f"succeeded:{pid}") or 0) >= 50 for pid in pids), "calls to flow")

    client.delete("healthy")  # each has read lately that the breaker is closed
    until(lambda: breaker.snapshot().opened >= 3, "two trial calls to fail")
    client.set("stop", 1)

    opened = sorted(change.at_ms for change in breaker.history() if change.to_state == "open")
    probed = sorted(change.at_ms for change in breaker.history() if change.to_state == "half_open")
    entries: list[Any] = client.lrange("failed", 0, -1)
    calls = [(int(pid), int(at)) for pid, at in (entry.decode().split(":") for entry in entries)]
    after_opening = Counter(pid for pid, at in calls if opened[0] < at < probed[0])
    assert all(count == 1 for count in after_opening.values()), after_opening
    assert [sum(start <= at < end for _, at in calls) for start, end in pairwise(probed[:3])] == [1] * (len(probed[:3]) - 1)


def test_a_killed_prober_frees_its_permit_after_its_lease(redis_url: str, drivers: Drivers, until: Until) -> None:
    lease = 1.5
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(recovery_timeout=0.05, permit_lease=lease))
    breaker.force_open(lasts=0.01)
    until(lambda: breaker.state is BreakerState.HALF_OPEN, "the recovery timeout")
    prober = drivers("breaker_driver.py", "hold", redis_url, lease)
    assert prober.stdout is not None
    assert prober.stdout.readline() == "holding\n"
    granted_ms = breaker.history()[0].at_ms
    with pytest.raises(CircuitOpen):
        breaker.call(int)
    prober.kill()
    prober.wait()

    def trial_gets_through() -> bool:
        try:
            breaker.call(int)
        except CircuitOpen:
            return False
        return True

    until(trial_gets_through, "the dead prober's permit")
    closed = breaker.history()[0]
    assert (closed.to_state, closed.reason) == ("closed", "trial calls succeeded")
    assert closed.at_ms - granted_ms >= lease * 1000


def test_a_killed_prober_frees_its_permit_when_its_death_is_known(redis_url: str, drivers: Drivers, until: Until) -> None:
    config = BreakerConfig(recovery_timeout=600, permit_lease=600)
    breakers = Breakers(redis_url, {"payments": config})
    breaker = breakers["payments"]
    breaker.force_open(lasts=0.01)
    until(lambda: breaker.state is BreakerState.HALF_OPEN, "the end of the opening")
    prober = drivers("breaker_driver.py", "hold", redis_url, 600)
    assert prober.stdout is not None
    assert prober.stdout.readline() == "holding\n"
    assert breaker.admits(12).count == 0
    prober.kill()
    prober.wait()
    breakers.free("job-1:7")
    assert breaker.admits(12).count == 1
    assert breaker.call(int) == 0
    assert breaker.admits(12).count >= 1, "the first of what waits goes with the close"


class Down(Exception):
    pass


def fail() -> None:
    raise Down


def test_redis_killed_and_restarted_under_the_breaker(
    own_redis: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = CircuitBreaker(own_redis.url, "payments", BreakerConfig(failure_threshold=3))
    events: list[BreakerEvent] = []
    breaker.listen(events.append)
    assert breaker.call(lambda: 7) == 7
    assert breaker.snapshot().shared

    own_redis.kill()
    with caplog.at_level(logging.WARNING, "perdure.resilience"):
        assert [breaker.call(lambda: 7) for _ in range(20)] == [7] * 20
        assert len(caplog.records) == 1
        for _ in range(3):
            with pytest.raises(Down):
                breaker.call(fail)
        with pytest.raises(CircuitOpen):
            breaker.call(lambda: 7)
        assert len(caplog.records) == 1
    assert not breaker.snapshot().shared

    own_redis.start()
    restored = lambda: any(event.kind == "restored" for event in events)  # noqa: E731
    admitted: list[int] = []

    def ask() -> bool:
        with suppress(CircuitOpen):
            breaker.call(admitted.append, 1)
        return restored()

    until(ask, "the shared state")
    assert not admitted, "it stays open when the shared state, which knows nothing of it, is back"
    assert breaker.snapshot().shared
    assert [event.kind for event in events if event.kind in ("degraded", "restored")] == ["degraded", "restored"]
    other = CircuitBreaker(own_redis.url, "payments", BreakerConfig(failure_threshold=3))
    assert other.state is BreakerState.OPEN, "what one process learned alone is known to all"
    assert "while Redis was away" in other.snapshot().reason


def test_an_open_breaker_stays_open_when_redis_dies(own_redis: Any) -> None:
    breaker = CircuitBreaker(own_redis.url, "payments", BreakerConfig(failure_threshold=1))
    with pytest.raises(Down):
        breaker.call(fail)
    own_redis.kill()
    with pytest.raises(CircuitOpen):
        breaker.call(lambda: 7)
