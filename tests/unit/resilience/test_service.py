"""A service's parts work together in the documented order."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import pytest

from perdure.errors import BulkheadFull, SettingsError
from perdure.model.retry_policy import RetryPolicy
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.limits.permits import PermitsConfig
from perdure.resilience.limits.rate_limit import RateLimitConfig, RateLimited
from perdure.resilience.service.call_key import keyed
from perdure.resilience.service.fallback import FallbackConfig
from perdure.resilience.service.service import Service, ServiceConfig
from perdure.resilience.service.service_settings import service_config
from perdure.resilience.service.timeouts import OperationTimeout

QUICK = RetryPolicy(max_retries=2, base=0.001, max_delay=0.002)


class Down(Exception):
    pass


class Flaky:
    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self, *args: Any) -> Any:  # the service answers with other things than a number
        self.calls += 1
        if self.calls <= self.failures:
            raise Down
        return 7

    async def answer(self) -> Any:
        return self()


def make(url: str, **options: Any) -> Service:
    more = {key: options.pop(key) for key in ("secondaries", "default") if key in options}
    return Service(url, "payments", ServiceConfig(**({"retry": QUICK} | options)), **more)


@pytest.mark.parametrize("in_loop", [False, True])
def test_each_attempt_counts_for_the_breaker(redis_url: str, in_loop: bool) -> None:
    policy = RetryPolicy(max_retries=3, base=0.001, max_delay=0.002)
    service, flaky = make(redis_url, retry=policy, breaker=BreakerConfig(failure_threshold=5)), Flaky(99)

    def call() -> Any:
        return asyncio.run(service.call_async(flaky.answer)) if in_loop else service.call(flaky)

    with pytest.raises(Down):
        call()
    assert flaky.calls == 4
    with pytest.raises(Down) as raised:
        call()
    assert flaky.calls == 5, "not the twenty attempts that five calls would make"
    assert "a retry was refused: circuit breaker" in raised.value.__notes__[0]
    with pytest.raises(CircuitOpen):
        call()
    assert flaky.calls == 5


def test_a_retry_that_the_rate_limit_refuses_keeps_the_error_of_the_attempt(redis_url: str) -> None:
    service, flaky = make(redis_url, rate=RateLimitConfig(rate=0.01, burst=1), rate_wait=0), Flaky(99)
    with pytest.raises(Down):
        service.call(flaky)
    assert flaky.calls == 1
    with pytest.raises(RateLimited):
        service.call(flaky)


def test_a_call_that_a_retry_saved_leaves_the_breaker_closed(redis_url: str) -> None:
    service, flaky = make(redis_url, breaker=BreakerConfig(failure_threshold=3)), Flaky(2)
    assert service.call(flaky) == 7
    snapshot = service.snapshot().breaker
    assert snapshot is not None
    assert snapshot.state == "closed"


def test_an_open_breaker_is_not_retried(redis_url: str) -> None:
    service, flaky = make(redis_url, breaker=BreakerConfig(failure_threshold=1)), Flaky(99)
    with pytest.raises(Down):
        service.call(flaky)
    assert flaky.calls == 1
    with pytest.raises(CircuitOpen):
        service.call(flaky)
    assert flaky.calls == 1


def test_a_hanging_call_times_out_and_opens_the_breaker(redis_url: str) -> None:
    service = make(redis_url, timeout=0.1, breaker=BreakerConfig(failure_threshold=1))
    hang = Event()
    with pytest.raises(OperationTimeout):
        service.call(hang.wait, 20)
    with pytest.raises(CircuitOpen):
        service.call(int)
    hang.set()


def test_a_refusal_by_the_rate_limit_is_no_failure_of_the_service(redis_url: str) -> None:
    service = make(
        redis_url, rate=RateLimitConfig(rate=0.01, burst=1), rate_wait=0, breaker=BreakerConfig(failure_threshold=1)
    )
    assert service.call(int) == 0
    with pytest.raises(RateLimited):
        service.call(int)
    snapshot = service.snapshot()
    assert snapshot.breaker is not None
    assert (snapshot.breaker.state, snapshot.breaker.failures) == ("closed", 0)


def test_each_attempt_counts_for_the_rate(redis_url: str) -> None:
    service = make(redis_url, rate=RateLimitConfig(rate=0.01, burst=5), rate_wait=0)
    service.call(Flaky(2))
    snapshot = service.snapshot().rate
    assert snapshot is not None
    assert snapshot.tokens == pytest.approx(2, abs=0.1)


def test_permits_bound_what_is_under_way(redis_url: str) -> None:
    service = make(redis_url, permits=PermitsConfig(limit=1), permits_wait=0)
    with pytest.raises(BulkheadFull):
        service.call(lambda: service.call(int))
    assert service.call(int) == 0


def test_the_fallback_serves_whatever_went_wrong(redis_url: str) -> None:
    service = make(redis_url, fallback=FallbackConfig(), breaker=BreakerConfig(failure_threshold=1), default="none")
    flaky = Flaky(99)
    assert service.serve(flaky).level == "default"
    assert service.call(flaky) == "none"
    assert flaky.calls == 1, "the breaker is open"
    service.breaker.reset()  # type: ignore[union-attr]
    assert service.serve(keyed("order 5", Flaky(0))).level == "primary"
    served = service.serve(keyed("order 5", flaky))
    assert (served.value, served.level) == (7, "cached")


def test_async(redis_url: str) -> None:
    service = make(
        redis_url, timeout=5, breaker=None, permits=PermitsConfig(limit=1), rate=RateLimitConfig(rate=100), default="none"
    )

    async def hang() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        assert await service.call_async(Flaky(99).answer) == "none"
        assert await service.call_async(keyed("order 5", Flaky(2).answer)) == 7
        assert await service.call_async(keyed("order 5", Flaky(99).answer)) == 7, "the last good value"
        assert await service.call_async(Flaky(99).answer) == "none", "nobody else's"
        with pytest.raises(OperationTimeout):
            await make(redis_url, timeout=0.05).call_async(hang)

    asyncio.run(run())


def test_decorator(redis_url: str) -> None:
    @make(redis_url)
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8


def test_settings() -> None:
    config = service_config(
        "payments",
        {
            "timeout": 10,
            "retry": {"max_retries": 5, "retry_on": ["ConnectionError"]},
            "breaker": {"recovery_timeout": 30, "expected": ["httpx.TransportError", "TimeoutError"]},
            "rate": {"rate": 50},
            "fallback": True,
            "retry_budget": False,
        },
    )
    assert (config.timeout, config.retry_budget, config.fallback) == (10, None, FallbackConfig())
    assert config.breaker is not None
    assert [kind.__name__ for kind in config.breaker.expected] == ["TransportError", "TimeoutError"]
    assert isinstance(config.retry, RetryPolicy)
    assert config.retry.retry_on == (ConnectionError,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timout": 1}, "resilience.services.payments.timout is no setting. Did you mean 'timeout'?"),
        ({"breaker": {"failure_rate": 2}}, "resilience.services.payments.breaker: .*failure_rate"),
        ({"breaker": {"expected": ["nowhere.Error"]}}, "breaker.expected: no exception 'nowhere.Error' can be imported"),
        ({"breaker": {"expected": ["int"]}}, "'int' is not an exception"),
        ({"rate": 5}, "resilience.services.payments.rate = 5: must be a table"),
        ({"permits": True}, "resilience.services.payments.permits.limit is missing"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        service_config("payments", settings)
