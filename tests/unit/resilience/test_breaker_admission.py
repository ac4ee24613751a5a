"""How much waiting work may start, and how soon after the closing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from perdure.resilience.breaker.admission import LONGEST_LOOK_S, Admission, admission
from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.machine import MachineState
from perdure.resilience.breaker.store import SharedStore
from perdure.resilience.redis.keys import breaker_key
from perdure.resilience.redis.link import RedisLink

NOW = 1_700_000_000_000


def closed(since: float) -> MachineState:
    """A breaker that closed ``since`` seconds ago after an opening."""
    return MachineState(opened=1, closed_at_ms=NOW - int(since * 1000), changed_at_ms=NOW - int(since * 1000))


def seconds_to_drain(config: BreakerConfig, backlog: int) -> float:
    """Start what may start, look again when told to; returns how long after the closing the last one started."""
    elapsed = 0.0
    while True:
        now = admission(config, closed(elapsed), NOW, backlog)
        backlog -= now.count
        assert now.count > 0
        if backlog == 0:
            return elapsed
        elapsed += now.wait


def test_closed_lets_all_go() -> None:
    config = BreakerConfig()
    assert admission(config, MachineState(), NOW, 5000) == Admission(5000, 0.0)
    assert admission(config, closed(since=60), NOW, 5000) == Admission(5000, 0.0)
    assert admission(BreakerConfig(slow_start=0), closed(since=0), NOW, 5000) == Admission(5000, 0.0)
    assert admission(config, MachineState(), NOW, 0) == Admission(0, 0.0)


def test_open_lets_none_go_and_looks_again_when_the_trial_is_due_or_somebody_may_have_closed_it() -> None:
    config = BreakerConfig()
    assert admission(config, MachineState(state="open", until_ms=NOW + 200), NOW, 5) == Admission(0, 0.2)
    assert admission(config, MachineState(state="open", until_ms=NOW + 60_000), NOW, 5) == Admission(0, LONGEST_LOOK_S)
    assert admission(config, MachineState(state="open", until_ms=-1), NOW, 5) == Admission(0, LONGEST_LOOK_S)


def test_as_many_trials_as_are_free() -> None:
    config = BreakerConfig(half_open_permits=3)
    due = MachineState(state="open", until_ms=NOW)
    assert admission(config, due, NOW, 5).count == 3
    assert admission(config, due, NOW, 2) == Admission(2, 0.0)
    tried = MachineState(state="half_open", permits=f"a:{NOW + 60_000}", passed=1)
    assert admission(config, tried, NOW, 5).count == 1
    tried.passed = 2
    look = admission(config, tried, NOW, 5)
    assert look.count == 0
    assert look.wait <= 0.1, "the trial's end is near, whatever its lease"


@given(backlog=st.integers(1, 100_000), recovery=st.floats(0.001, 600), ramp=st.none() | st.floats(0, 600))
def test_the_ramp_lasts_no_longer_than_a_recovery_nor_than_the_backlog_needs(
    backlog: int, recovery: float, ramp: float | None
) -> None:
    config = BreakerConfig(recovery_timeout=recovery, slow_start=ramp)
    took = seconds_to_drain(config, backlog)
    assert took <= config.ramp + 0.06
    assert took <= (backlog - 1) * 0.05 + 0.001, "at least twenty a second"


def test_twelve_jobs_are_out_within_a_second_and_a_large_backlog_gradually() -> None:
    assert seconds_to_drain(BreakerConfig(recovery_timeout=3), 12) < 1
    assert seconds_to_drain(BreakerConfig(recovery_timeout=600), 12) < 1
    first = admission(BreakerConfig(recovery_timeout=3), closed(since=0), NOW, 5000)
    half = admission(BreakerConfig(recovery_timeout=3), closed(since=1.5), NOW, 5000)
    assert (first.count, half.count) == (500, 2500)


@pytest.fixture
def breaker(redis_url: str) -> CircuitBreaker:
    return CircuitBreaker(redis_url, "payments", BreakerConfig(failure_threshold=1, max_staleness=600))


def asked(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_asking_costs_no_round_trip_while_what_is_known_is_fresh(redis_url: str) -> None:
    clock = [0.0]
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(), clock=lambda: clock[0])
    breaker.admits(1)
    with redis.Redis.from_url(redis_url) as client:
        before = asked(client)
        assert {breaker.admits(9).count for _ in range(50)} == {9}
        assert asked(client) == before
        clock[0] += 0.011
        breaker.admits(9)
        assert asked(client) == before + 1


def test_asking_changes_nothing(redis_url: str, breaker: CircuitBreaker) -> None:
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(breaker_key("payments"), "until_ms", 1)
        before = client.hgetall(breaker_key("payments"))
        for _ in range(3):
            assert breaker.admits(9).count == 1
        assert client.hgetall(breaker_key("payments")) == before


def test_the_permits_that_this_process_took_itself_are_seen_at_once(redis_url: str) -> None:
    config = BreakerConfig(half_open_permits=2, max_staleness=600)
    breaker = CircuitBreaker(redis_url, "payments", config)
    breaker.force_open(lasts=60)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(breaker_key("payments"), "until_ms", 1)
    assert breaker.state == "half_open"
    seen = []
    for _ in range(2):
        seen.append(breaker.admits(9).count)
        breaker._enter()
    assert [*seen, breaker.admits(9).count] == [2, 1, 0]


def test_a_close_elsewhere_is_seen_within_the_wait(redis_url: str, until: Callable[..., None]) -> None:
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(recovery_timeout=600))
    elsewhere = SharedStore(RedisLink(redis_url, what="another process"), "payments", BreakerConfig().numbers)
    breaker.force_open(lasts=None)
    look = breaker.admits(9)
    assert look.count == 0
    assert look.wait <= 0.5, "with what follows, the first job starts within a second of the close"
    elsewhere.command("reset", 0, "ann", "fixed")
    until(lambda: breaker.admits(9).count > 0, "the close to be seen", deadline=1.0)
