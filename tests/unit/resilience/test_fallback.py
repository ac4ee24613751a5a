"""Fallbacks: the first level that can serve does, and says so."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import redis

from perdure.resilience.service.call_key import keyed
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


SITE = Rates()


def rates_of(currency: str, on: str = "") -> dict[str, float]:
    return SITE.of(currency)


def history_of(currency: str) -> list[float]:
    return SITE.history(currency)  # type: ignore[return-value]


@pytest.fixture
def site() -> Iterator[Rates]:
    yield SITE
    SITE.up = True


def test_the_last_good_value_is_shared_and_has_an_age(redis_url: str, site: Rates) -> None:
    now = [1000.0]
    one = Fallback("rates", redis=redis_url, now=lambda: now[0])
    other = Fallback("rates", redis=redis_url, now=lambda: now[0], default="none")
    assert one.call(rates_of, "EUR") == {"rate": 1.1}
    now[0] = 1060
    site.up = False
    served = other.serve(rates_of, "EUR")
    assert (served.value, served.level) == ({"rate": 1.1}, "cached")
    assert served.degraded is not None
    assert served.degraded.age == 60
    assert other.serve(rates_of, "USD").level == "default", "other arguments"
    assert other.serve(rates_of, currency="EUR").level == "default", "arguments given otherwise"
    assert other.serve(history_of, "EUR").level == "default", "another function"
    now[0] = 1000 + 86_401
    assert other.serve(rates_of, "EUR").level == "default", "too old"
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*")
        assert all(client.pttl(key) > 0 for key in client.keys("*"))


class Opaque:
    """Looks the same whatever is in it."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return "Opaque()"

    def __call__(self) -> str:
        return answer(self.what)

    def receipt(self) -> str:
        return answer(self.what)


ANSWERING = [True]


def answer(what: Any) -> Any:
    if not ANSWERING[0]:
        raise Down("no answer")
    return what if isinstance(what, str) else what.what


def of_first(order: str) -> Any:
    def fetch() -> Any:
        return answer(order)

    return fetch


@pytest.fixture
def answering() -> Iterator[list[bool]]:
    yield ANSWERING
    ANSWERING[0] = True


LIKE_EACH_OTHER: list[Callable[[str], tuple[Any, ...]]] = [
    lambda order: (lambda: answer(order),),
    lambda order: (lambda o=order: answer(o),),
    lambda order: (of_first(order),),
    lambda order: (Opaque(order).receipt,),
    lambda order: (Opaque(order),),
    lambda order: (partial(Opaque(order).receipt),),
    lambda order: (answer, Opaque(order)),
    lambda order: (functools.wraps(answer)(lambda *_: answer(order)), "same"),
]


@pytest.mark.parametrize("call", LIKE_EACH_OTHER)
def test_no_caller_is_served_what_another_asked_for(redis_url: str, answering: list[bool], call: Any) -> None:
    fallback = Fallback("receipts", redis=redis_url, default="none")
    assert fallback.call(*call("order 1")) == "order 1"
    answering[0] = False
    assert fallback.call(*call("order 2")) == "none"


@pytest.mark.parametrize(
    "call",
    [
        lambda order: (partial(answer, order),),
        lambda order: (keyed(order, lambda: answer(order)),),
        lambda order: (keyed(("tenant", order), Opaque(order).receipt),),
        lambda order: (partial(keyed(1, answer), order),),
    ],
)
def test_calls_that_can_be_told_apart_have_a_last_good_value(redis_url: str, answering: list[bool], call: Any) -> None:
    fallback = Fallback("receipts", redis=redis_url, default="none")
    assert [fallback.call(*call(order)) for order in ("1", "2")] == ["1", "2"]
    answering[0] = False
    assert [fallback.call(*call(order)) for order in ("1", "2", "3")] == ["1", "2", "none"]


def test_key_makes_one_of_the_arguments(redis_url: str, answering: list[bool]) -> None:
    fallback = Fallback("receipts", redis=redis_url, default="none", key=lambda order: order.what)
    fetch = lambda order: answer(order)  # noqa: E731
    assert fallback.call(fetch, Opaque("1")) == "1"
    answering[0] = False
    assert [fallback.call(fetch, Opaque(order)) for order in ("1", "2")] == ["1", "none"]


def test_what_cannot_be_told_apart_is_said(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    fallback = Fallback("receipts", redis=redis_url)
    assert [fallback.call(lambda: 1), fallback.call(lambda: 2)] == [1, 2]
    assert caplog.text.count("use keyed() or key=") == 1


@dataclasses.dataclass(frozen=True)
class Price:
    cents: Decimal
    at: datetime


def typed(kind: str) -> Any:
    answer("")
    return TYPED[kind]


def price() -> Price:
    answer("")
    return TYPED["price"]


TYPED: dict[str, Any] = {
    "tuple": (1, "a"),
    "set": {1, 2},
    "decimal": Decimal("1.10"),
    "time": datetime(2026, 1, 2, tzinfo=UTC),
    "bytes": b"\x00\xff",
    "none": None,
    "price": Price(Decimal("1.10"), datetime(2026, 1, 2, tzinfo=UTC)),
}


@pytest.mark.parametrize("kind", [kind for kind in TYPED if kind != "price"])
def test_kept_values_keep_their_types(redis_url: str, answering: list[bool], kind: str) -> None:
    fallback = Fallback("typed", redis=redis_url)
    fallback.call(typed, kind)
    answering[0] = False
    served = fallback.serve(typed, kind)
    assert (served.level, served.value, type(served.value)) == ("cached", TYPED[kind], type(TYPED[kind]))


def test_a_dataclass_comes_back_through_the_annotation_or_is_not_kept(redis_url: str, answering: list[bool]) -> None:
    fallback = Fallback("typed", redis=redis_url, default="none")
    fallback.call(price)
    fallback.call(typed, "price")
    answering[0] = False
    assert fallback.call(price) == TYPED["price"]
    assert fallback.call(typed, "price") == "none"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe",
        b"",
        b"{}",
        b"[]",
        b'{"at": 1e400, "value": 1}',
        b'{"at": "x", "value": 1}',
        b'{"at": 99999999999999, "value": 1}',
        b'{"at": 1000, "value": {"$": "nothing", "v": 1}}',
        b'{"at": 1000}',
        b"[" * 100_000,
    ],
)
def test_a_garbled_value_is_a_miss(redis_url: str, answering: list[bool], garbage: bytes) -> None:
    fallback = Fallback("receipts", redis=redis_url, default="none", now=lambda: 1000.0)
    fallback.call(answer, "1")
    with redis.Redis.from_url(redis_url) as client:
        for key in client.keys("*fallback*"):
            client.set(key, garbage)
    answering[0] = False
    assert fallback.call(answer, "1") == "none"


def test_a_default_that_raises_keeps_the_primarys_error(redis_url: str) -> None:
    def default() -> None:
        raise KeyError("nothing there either")

    fallback = Fallback("rates", redis=redis_url, secondaries={"mirror": down}, default=default)
    with pytest.raises(Down) as raised:
        fallback.call(down)
    assert ["mirror" in note or "KeyError" in note for note in raised.value.__notes__] == [True, True]
    assert fallback.snapshot().failed == 1


async def down_async(*args: Any) -> Any:
    raise Down("no answer")


async def echo_async(what: Any) -> Any:
    await asyncio.sleep(0)
    return f"awaited {what}"


@pytest.mark.parametrize("parts", [{"secondaries": {"mirror": echo_async}}, {"default": echo_async}])
def test_asynchronous_levels_are_awaited(parts: dict[str, Any]) -> None:
    served = asyncio.run(Fallback("rates", **parts).serve_async(down_async, "EUR"))
    assert served.value == "awaited EUR"


@pytest.mark.parametrize("parts", [{"secondaries": {"mirror": echo_async}}, {"default": echo_async}])
def test_asynchronous_levels_of_a_synchronous_call_fail_and_say_so(parts: dict[str, Any]) -> None:
    with pytest.raises(Down) as raised:
        Fallback("rates", **parts).call(down, "EUR")
    assert "use serve_async" in raised.value.__notes__[0]


def test_an_asynchronous_default_that_raises_keeps_the_primarys_error() -> None:
    async def default() -> None:
        raise KeyError

    with pytest.raises(Down):
        asyncio.run(Fallback("rates", default=default).serve_async(down_async))


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


def test_values_without_json_are_served_and_not_kept(
    redis_url: str, answering: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    fallback = Fallback("rates", redis=redis_url, default="none")
    found: Any = Opaque("x")
    assert fallback.call(keyed("x", lambda: found)) is found
    assert "not kept" in caplog.text
    assert fallback.serve(keyed("x", down)).level == "default"


def test_redis_may_be_away(own_redis: Any) -> None:
    fallback = Fallback("rates", redis=own_redis.url, default="none")
    own_redis.kill()
    assert fallback.call(lambda: 1) == 1
    assert fallback.serve(down).level == "default"


LIVE = [{"rate": 1.1}]


async def live(currency: str) -> dict[str, float]:
    if not LIVE:
        raise Down("no answer")
    return LIVE.pop()


def test_async(redis_url: str) -> None:
    async def run() -> None:
        fallback = Fallback("rates", redis=redis_url)
        assert (await fallback.serve_async(live, "EUR")).degraded is None
        served = await fallback.serve_async(live, "EUR")
        assert (served.value, served.level) == ({"rate": 1.1}, "cached")
        with pytest.raises(Down):
            await fallback.serve_async(live, "USD")

    asyncio.run(run())
