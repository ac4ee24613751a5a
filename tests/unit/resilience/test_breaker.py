"""The breaker as one process uses it, on a real Redis."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
import redis

from perdure.errors import BulkheadFull, SettingsError
from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import BreakerEvent, CircuitOpen
from perdure.resilience.breaker.store import SharedStore
from perdure.resilience.breaker.trial_holder import trials_held_by
from perdure.resilience.redis.keys import breaker_key
from perdure.resilience.redis.link import RedisLink


class Down(Exception):
    pass


class Refused(Exception):
    pass


def fail(error: type[BaseException] = Down) -> None:
    raise error


def fails(breaker: CircuitBreaker, times: int = 1, error: type[BaseException] = Down) -> None:
    for _ in range(times):
        with pytest.raises(error):
            breaker.call(fail, error)


def end_recovery(url: str, breaker: CircuitBreaker) -> None:
    """Let the recovery timeout be over, without waiting for it."""
    with redis.Redis.from_url(url) as client:
        client.hset(breaker_key(breaker.name), "until_ms", 1)


def elsewhere(url: str) -> SharedStore:
    """The breaker's state as another process changes it."""
    return SharedStore(RedisLink(url, what="another process"), "payments", BreakerConfig().numbers)


@pytest.fixture
def make(redis_url: str) -> Callable[..., CircuitBreaker]:
    return lambda **config: CircuitBreaker(redis_url, "payments", BreakerConfig(**config))


def test_opens_at_the_threshold_and_closes_after_a_trial(redis_url: str, make: Callable[..., CircuitBreaker]) -> None:
    breaker = make()
    fails(breaker, 4)
    assert breaker.state == "closed"
    fails(breaker)
    assert breaker.state == "open"
    with pytest.raises(CircuitOpen) as refused:
        breaker.call(int)
    assert 59 < refused.value.retry_after_s <= 60
    assert 59 < breaker.next_probe_in() <= 60
    end_recovery(redis_url, breaker)
    assert breaker.state == "half_open"
    assert breaker.next_probe_in() == 0
    assert breaker.call(int) == 0
    assert breaker.state == "closed"
    assert [change.to_state for change in breaker.history()] == ["closed", "half_open", "open"]


def test_another_instance_sees_the_same_state(make: Callable[..., CircuitBreaker]) -> None:
    one, other = make(failure_threshold=2), make(failure_threshold=2)
    fails(one)
    fails(other)
    with pytest.raises(CircuitOpen):
        one.call(int)


def test_a_success_ends_a_row_of_failures(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=3)
    for _ in range(3):
        fails(breaker, 2)
        breaker.call(int)
    assert breaker.state == "closed"


def test_failures_in_the_window_count_when_not_consecutive(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=3, consecutive=False)
    for _ in range(3):
        breaker.call(int)
        fails(breaker)
    assert breaker.snapshot().reason == "3 failures in the window"


def test_failure_rate_counts_held_back_successes(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=None, failure_rate=0.5, minimum_calls=10)
    for _ in range(6):
        breaker.call(int)
    fails(breaker, 5)
    assert breaker.state == "closed"
    fails(breaker)
    assert breaker.snapshot().reason == "6 of 12 calls failed"


def test_slow_calls_open_it(redis_url: str) -> None:
    clock = [0.0]
    config = BreakerConfig(failure_threshold=None, slow_call_duration=2, slow_call_rate=0.5, minimum_calls=2)
    breaker = CircuitBreaker(redis_url, "payments", config, clock=lambda: clock[0])

    def take(seconds: float) -> None:
        clock[0] += seconds

    breaker.call(take, 0.1)
    breaker.call(take, 3)
    assert breaker.snapshot().reason == "1 of 2 calls were slow"


def test_recovery_time_grows_with_repeated_opening_up_to_its_cap(
    redis_url: str, make: Callable[..., CircuitBreaker]
) -> None:
    breaker = make(failure_threshold=1, recovery_timeout=10, max_recovery_timeout=35)
    waits = []
    for _ in range(4):
        fails(breaker)
        waits.append(round(breaker.next_probe_in()))
        end_recovery(redis_url, breaker)
    assert waits == [10, 20, 35, 35]


def test_expected_and_ignored_errors(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=2, expected=(Down,), ignore=(Refused,))
    fails(breaker)
    fails(breaker, error=Refused)
    fails(breaker, error=BulkheadFull)
    assert breaker.snapshot().failures_in_a_row == 1, "ignored errors say nothing about the service"
    fails(breaker, error=KeyError)
    assert breaker.snapshot().failures_in_a_row == 0, "an error that is not expected is an answer"
    fails(breaker)
    fails(breaker, error=KeyboardInterrupt)
    assert breaker.snapshot().failures_in_a_row == 1


def test_results_of_calls_from_before_the_opening_do_not_count(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=1)
    with breaker:
        fails(make(failure_threshold=1))
    breaker.flush()
    assert breaker.state == "open"
    assert breaker.snapshot().late == 1


def test_forced_open_ends_with_a_trial_call(redis_url: str, make: Callable[..., CircuitBreaker]) -> None:
    breaker = make()
    breaker.force_open(reason="maintenance", by="ann", lasts=60)
    override = breaker.snapshot().override
    assert override is not None
    assert (override.kind, override.by, override.reason) == ("open", "ann", "maintenance")
    with pytest.raises(CircuitOpen):
        breaker.call(int)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(breaker_key("payments"), mapping={"until_ms": 1, "override_until_ms": 1})
    assert breaker.snapshot().override is None
    assert breaker.call(int) == 0
    assert breaker.state == "closed"


def test_forced_closed_never_opens_and_reset_ends_it(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=2)
    breaker.force_closed(lasts=None)
    fails(breaker, 6)
    assert breaker.state == "closed"
    breaker.reset(by="ann")
    assert breaker.snapshot().failures_in_a_row == 0
    assert breaker.history()[0].by == "ann"
    fails(breaker, 2)
    assert breaker.state == "open"


def test_with_decorator_and_nesting(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=2)

    @breaker
    def double(x: int) -> int:
        """Double."""
        return 2 * x

    with breaker, breaker:
        assert double(4) == 8
    assert double.__doc__ == "Double."
    for _ in range(2):
        with pytest.raises(Down), breaker:
            fail()
    with pytest.raises(CircuitOpen):
        double(4)


def test_async_calls(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=2)

    @breaker
    async def answer(error: type[Exception] | None = None) -> int:
        await asyncio.sleep(0)
        if error:
            raise error
        return 42

    async def run() -> None:
        assert await answer() == 42
        async with breaker:
            pass
        with pytest.raises(asyncio.CancelledError):
            await breaker.call_async(cancelled)
        for _ in range(2):
            with pytest.raises(Down):
                await answer(Down)
        with pytest.raises(CircuitOpen):
            await answer()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    asyncio.run(run())


def open_and_due(url: str, breaker: CircuitBreaker) -> None:
    """Open a breaker whose next call is a trial call."""
    fails(breaker, breaker.config.failure_threshold or 1)
    end_recovery(url, breaker)
    assert breaker.state == "half_open"


@pytest.mark.parametrize("error", [Refused, BulkheadFull, KeyboardInterrupt, GeneratorExit])
def test_a_trial_call_without_a_verdict_gives_its_permit_back(
    redis_url: str, make: Callable[..., CircuitBreaker], error: type[BaseException]
) -> None:
    breaker = make(failure_threshold=1, ignore=(Refused,))
    open_and_due(redis_url, breaker)
    for _ in range(3):
        fails(breaker, error=error)
    assert breaker.state == "half_open"
    with pytest.raises(error), breaker:
        fail(error)
    assert breaker.call(int) == 0
    assert breaker.state == "closed"


def test_a_trial_call_without_a_verdict_gives_its_permit_back_in_async_code(
    redis_url: str, make: Callable[..., CircuitBreaker], until: Callable[..., None]
) -> None:
    breaker = make(failure_threshold=1, ignore=(Refused,))
    open_and_due(redis_url, breaker)

    async def refused() -> None:
        raise Refused

    async def sleeps() -> None:
        await asyncio.sleep(600)

    async def run() -> None:
        with pytest.raises(Refused):
            await breaker.call_async(refused)
        task = asyncio.create_task(breaker.call_async(sleeps))
        while breaker.snapshot().trials_under_way == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    until(lambda: breaker.snapshot().trials_under_way == 0, "the cancelled trial's permit")
    assert breaker.call(int) == 0
    assert breaker.state == "closed"


def test_a_trial_call_without_a_verdict_gives_its_permit_back_while_redis_is_away(own_redis: Any) -> None:
    now = [1000.0]
    config = BreakerConfig(failure_threshold=1, ignore=(Refused,))
    breaker = CircuitBreaker(own_redis.url, "payments", config, now=lambda: now[0])
    own_redis.kill()
    fails(breaker)
    now[0] += 61
    for _ in range(2):
        fails(breaker, error=Refused)
    assert breaker.call(int) == 0
    assert breaker.snapshot().shared is False


def test_the_permits_of_a_dead_holder_are_free_at_once(redis_url: str) -> None:
    configs = {name: BreakerConfig(failure_threshold=1, half_open_permits=2) for name in ("payments", "mail")}
    ours, others = Breakers(redis_url, configs), Breakers(redis_url, configs)
    for name in configs:
        open_and_due(redis_url, ours[name])
        with trials_held_by("job-1:7"):
            ours[name]._enter()  # its process dies in the call
        with trials_held_by("job-1:77"):
            ours[name]._enter()  # this one lives
        with pytest.raises(CircuitOpen):
            others[name].call(int)
    others.free("job-1")
    others.free("job-1:8")
    others.free("")
    assert [each.trials_under_way for each in others.snapshots()] == [2, 2]
    others.free("job-1:7")
    assert [each.trials_under_way for each in others.snapshots()] == [1, 1]
    assert others["mail"].call(int) == 0


def test_what_a_dead_holder_reports_after_all_is_late(redis_url: str, make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=1)
    open_and_due(redis_url, breaker)
    with trials_held_by("job-1:7"), breaker:
        breaker.free("job-1:7")
    assert breaker.state == "half_open"
    assert breaker.snapshot().late == 1


def test_a_closed_breaker_costs_at_most_one_round_trip_per_call(
    redis_url: str, make: Callable[..., CircuitBreaker]
) -> None:
    client = redis.Redis.from_url(redis_url)
    strict, relaxed = make(max_staleness=0), make(max_staleness=600)
    strict.call(int)
    relaxed.call(int)

    def commands(breaker: CircuitBreaker) -> int:
        before = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
        for _ in range(50):
            breaker.call(int)
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"]) - int(before)

    assert commands(strict) == 50
    assert commands(relaxed) == 0
    relaxed.flush()
    strict.flush()
    assert strict.snapshot().successes == 102


def test_stale_knowledge_is_bounded(redis_url: str) -> None:
    clock = [0.0]
    config = BreakerConfig()
    stale = CircuitBreaker(redis_url, "payments", config, clock=lambda: clock[0])
    stale.call(int)
    elsewhere(redis_url).command("force_open", 60_000, "ann", "maintenance")
    clock[0] = 0.009
    stale.call(int)
    clock[0] = 0.011
    for _ in range(5):
        with pytest.raises(CircuitOpen):
            stale.call(int)
    elsewhere(redis_url).command("reset", 0, "ann", "fixed")
    with pytest.raises(CircuitOpen):
        stale.call(int)
    clock[0] = 0.022
    assert stale.call(int) == 0
    assert stale.snapshot().rejected == 6, "also those that were answered without asking"


def test_nothing_stale_is_acted_on_while_calls_fail_or_where_a_change_was_seen(
    redis_url: str, make: Callable[..., CircuitBreaker]
) -> None:
    one, other = make(max_staleness=600), make(max_staleness=600)
    fails(one)
    elsewhere(redis_url).command("force_open", 60_000, "ann", "maintenance")
    with pytest.raises(CircuitOpen):
        one.call(int)
    one.reset()
    other.call(int)
    one.force_open()
    with pytest.raises(CircuitOpen):
        other.call(int)


def test_an_open_breaker_asks_when_a_trial_call_is_due(redis_url: str) -> None:
    clock = [0.0]
    breaker = CircuitBreaker(redis_url, "payments", BreakerConfig(max_staleness=600), clock=lambda: clock[0])
    breaker.force_open(lasts=60)
    with pytest.raises(CircuitOpen):
        breaker.call(int)
    end_recovery(redis_url, breaker)
    clock[0] = 59.0
    with pytest.raises(CircuitOpen):
        breaker.call(int)
    clock[0] = 61.0
    assert breaker.call(int) == 0


def test_listeners_see_what_happens_and_cannot_break_it(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(failure_threshold=1)
    events: list[BreakerEvent] = []
    breaker.listen(lambda event: fail())
    stop = breaker.listen(events.append)
    breaker.call(int)
    fails(breaker)
    with pytest.raises(CircuitOpen):
        breaker.call(int)
    stop()
    breaker.reset()
    assert [event.kind for event in events] == ["success", "failure", "state", "rejected"]
    change = events[2].change
    assert change is not None
    assert (change.from_state, change.to_state, change.reason) == ("closed", "open", "1 failures in a row")


def test_threads_share_one_instance(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(max_staleness=0.01)
    start = Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(100):
            with breaker:
                pass

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    breaker.flush()
    assert breaker.snapshot().successes == 400


def test_all_keys_expire(redis_url: str, make: Callable[..., CircuitBreaker]) -> None:
    fails(make(failure_threshold=1))
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys("*")
        assert len(keys) == 3
        assert all(client.pttl(key) > 0 for key in keys)
        assert all(key.startswith(b"perdure:") for key in keys)


def test_scripts_survive_a_script_flush(redis_url: str, make: Callable[..., CircuitBreaker]) -> None:
    breaker = make()
    breaker.call(int)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    fails(breaker)
    assert breaker.snapshot().shared
    assert breaker.snapshot().failures == 1


def test_a_client_that_decodes_replies_works(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    breaker = CircuitBreaker(client, "payments", BreakerConfig(failure_threshold=1))
    fails(breaker)
    assert breaker.snapshot().shared
    assert breaker.history()[0].to_state == "open"
    assert list(Breakers(client)) == ["payments"]


def test_registry_lists_what_redis_knows(redis_url: str) -> None:
    seen: list[BreakerEvent] = []
    breakers = Breakers(redis_url, {"mail": BreakerConfig(failure_threshold=1)}, on_event=seen.append)
    fails(breakers["mail"])
    fails(breakers["payments"])
    assert breakers["mail"] is breakers["mail"]
    other = Breakers(redis_url)
    assert list(other) == ["mail", "payments"]
    assert "mail" in other
    assert [(each.name, each.state) for each in other.snapshots()] == [("mail", "open"), ("payments", "closed")]
    assert [event.name for event in seen if event.kind == "state"] == ["mail"]


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="failure_rate must be above 0"):
        BreakerConfig(failure_rate=1.5)
    with pytest.raises(SettingsError, match="never opens"):
        BreakerConfig(failure_threshold=None)
    with pytest.raises(SettingsError, match="letters"):
        CircuitBreaker("redis://localhost:1", "a}b")


def test_circuit_open_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CircuitOpen("payments", 1.5)))
    assert (error.name, error.retry_after_s) == ("payments", 1.5)
