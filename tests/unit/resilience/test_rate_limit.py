"""The token bucket: its arithmetic, shared and local."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
import redis

from perdure.errors import SettingsError
from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig, RateLimited, RateLimitEvent, draw
from perdure.resilience.service.deadline import deadline


def test_draw_refills_and_waits() -> None:
    config = RateLimitConfig(rate=10, burst=5)
    assert draw(5, 0, config, 1, 1) == (1, 0, 4)
    assert draw(0, 0.3, config, 1, 1) == (1, 0, 2)
    assert draw(0, 60, config, 5, 5) == (5, 0, 0)
    assert draw(0, 0, config, 1, 1) == (0, 0.1, 0)
    assert draw(3, -5, config, 1, 1) == (1, 0, 2), "a clock that goes back takes nothing away"
    assert draw(3.5, 0, config, 0, 9) == (3, 0, 0.5), "only whole ones"


def test_burst_then_refusal_across_instances(redis_url: str) -> None:
    config = RateLimitConfig(rate=0.1, burst=3)
    limits = [RateLimit(redis_url, "mail", config) for _ in range(2)]
    for limit in (limits[0], limits[1], limits[0]):
        limit.acquire()
    events: list[RateLimitEvent] = []
    limits[1].listen(events.append)
    with pytest.raises(RateLimited) as refused:
        limits[1].acquire()
    assert 9 < refused.value.retry_after_s <= 10
    limits[1].acquire("another key")
    assert limits[1].snapshot().limited == 1
    assert [event.retry_after for event in events] == [refused.value.retry_after_s]


def test_waits_for_the_refill(redis_url: str) -> None:
    limit = RateLimit(redis_url, "mail", RateLimitConfig(rate=100, burst=1))
    for _ in range(5):
        limit.acquire(timeout=5)
    with pytest.raises(ValueError, match="bucket of 1"):
        limit.acquire(tokens=2)


def test_long_run_rate_holds(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    limit = RateLimit(redis_url, "mail", RateLimitConfig(rate=200, burst=10))

    def now() -> float:
        seconds, micros = client.time()
        return float(seconds + micros / 1e6)

    began, granted = now(), 0
    while now() - began < 0.5:
        granted += limit.try_acquire() == 0
    assert granted <= 10 + 200 * (now() - began) + 1


def test_local_while_redis_is_away(own_redis: Any) -> None:
    limit = RateLimit(own_redis.url, "mail", RateLimitConfig(rate=0.1, burst=2))
    own_redis.kill()
    assert [limit.try_acquire() == 0 for _ in range(3)] == [True, True, False]
    assert not limit.snapshot().shared


def test_keys_expire_and_errors_pickle(redis_url: str) -> None:
    RateLimit(redis_url, "mail", RateLimitConfig(rate=0.1, burst=2)).acquire()
    with redis.Redis.from_url(redis_url) as client:
        assert 20_000 < client.pttl("perdure:rate:{mail:}") <= 21_000
    assert pickle.loads(pickle.dumps(RateLimited("mail", 2.5))).retry_after_s == 2.5
    with pytest.raises(SettingsError):
        RateLimitConfig(rate=0)


@pytest.mark.parametrize("where", ["redis", "nowhere"])
def test_as_many_as_there_are_in_one_go(redis_url: str, where: str) -> None:
    url = redis_url if where == "redis" else "redis://127.0.0.1:1"
    limit = RateLimit(url, "mail", RateLimitConfig(rate=0.001, burst=10))
    assert limit.take(0) == 0
    assert limit.take(7) == 7
    assert limit.take(7) == 3
    assert limit.take(7) == 0
    limit.give_back(2)
    assert limit.take(7) == 2
    limit.give_back(99)
    assert limit.take(99) == 10, "a bucket never holds more than its burst"


def test_async(redis_url: str) -> None:
    async def run() -> None:
        limit = RateLimit(redis_url, "mail", RateLimitConfig(rate=20, burst=2))
        async with limit:
            pass
        await limit.acquire_async()
        with pytest.raises(ValueError, match="a bucket of 2"):
            await limit.acquire_async(tokens=3)
        await limit.acquire_async(timeout=5)
        slow = RateLimit(redis_url, "slow", RateLimitConfig(rate=0.01, burst=1))
        await slow.acquire_async()
        with pytest.raises(RateLimited):
            await slow.acquire_async(timeout=0)
        with deadline(0.01), pytest.raises(RateLimited):
            await slow.acquire_async(timeout=1000)
        waiting = asyncio.create_task(limit.acquire_async(tokens=2, timeout=5))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await limit.acquire_async(tokens=2, timeout=5)

    asyncio.run(run())
