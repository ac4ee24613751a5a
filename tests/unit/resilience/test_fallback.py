"""Fallbacks: the first level that can serve does, and says so."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import redis

from perdure.resilience.service.fallback import Degraded, Fallback, FallbackConfig


class Down(Exception):
    pass


def down(*args: Any, **kwargs: Any) -> Any:
    raise Down("no answer")


def test_levels_in_order(redis_url: str) -> None:
    fallback = Fallback("rates", redis=redis_url, secondaries={"mirror": lambda c: f"mirror {c}"}, default="none")
    seen: list[Degraded] = []
    fallback.listen(seen.append)
    assert fallback.serve(lambda c: f"live {c}", "EUR").degraded is None
    served = fallback.serve(down, "EUR")
    assert (served.value, served.level) == ("mirror EUR", "mirror")
    assert served.degraded is not None
    assert served.degraded.errors == {"primary": "Down: no answer"}
    assert seen == [served.degraded]
    assert fallback.snapshot().served == {"primary": 1, "mirror": 1}


class Rates:
    def __init__(self, *, up: bool = True) -> None:
        self.up = up

    def of(self, currency: str) -> dict[str, float]:
        if not self.up:
            raise Down("no answer")
        return {"rate": 1.1}

    def history(self, currency: str) -> list[float]:
        raise Down("no answer")


def test_the_last_good_value_is_shared_and_has_an_age(redis_url: str) -> None:
    now = [1000.0]
    one = Fallback("rates", redis=redis_url, now=lambda: now[0])
    other = Fallback("rates", redis=redis_url, now=lambda: now[0], default="none")
    assert one.call(Rates().of, "EUR") == {"rate": 1.1}
    now[0] = 1060
    rates = Rates(up=False)
    served = other.serve(rates.of, "EUR")
    assert (served.value, served.level) == ({"rate": 1.1}, "cached")
    assert served.degraded is not None
    assert served.degraded.age == 60
    assert other.serve(rates.of, "USD").level == "default", "other arguments"
    assert other.serve(rates.history, "EUR").level == "default", "another function"
    now[0] = 1000 + 86_401
    assert other.serve(rates.of, "EUR").level == "default", "too old"
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*")
        assert all(client.pttl(key) > 0 for key in client.keys("*"))


def test_the_primarys_error_when_nothing_serves() -> None:
    fallback = Fallback("rates", secondaries={"mirror": down})
    with pytest.raises(Down) as raised:
        fallback.call(down)
    assert "mirror failed as well" in raised.value.__notes__[0]
    assert fallback.snapshot().failed == 1


def test_other_errors_reach_the_caller() -> None:
    with pytest.raises(Down):
        Fallback("rates", FallbackConfig(on=(KeyError,)), default=1).call(down)


def test_default_may_be_a_function() -> None:
    assert Fallback("rates", default=lambda c: f"no {c}").call(down, "EUR") == "no EUR"


def test_values_without_json_are_served_and_not_kept(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    fallback = Fallback("rates", redis=redis_url, default="none")
    with caplog.at_level(logging.WARNING):
        assert fallback.call(lambda: {1, 2}) == {1, 2}
    assert "not kept" in caplog.text
    assert fallback.serve(down).level == "default"


def test_redis_may_be_away(own_redis: Any) -> None:
    fallback = Fallback("rates", redis=own_redis.url, default="none")
    own_redis.kill()
    assert fallback.call(lambda: 1) == 1
    assert fallback.serve(down).level == "default"


def test_async(redis_url: str) -> None:
    answers = [{"rate": 1.1}]

    async def live(currency: str) -> dict[str, float]:
        if not answers:
            raise Down("no answer")
        return answers.pop()

    async def run() -> None:
        fallback = Fallback("rates", redis=redis_url)
        assert (await fallback.serve_async(live, "EUR")).degraded is None
        served = await fallback.serve_async(live, "EUR")
        assert (served.value, served.level) == ({"rate": 1.1}, "cached")
        with pytest.raises(Down):
            await fallback.serve_async(live, "USD")

    asyncio.run(run())
