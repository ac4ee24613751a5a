"""Whatever somebody wrote into perdure's keys: calls go on, the state stays shared, and it is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from perdure.errors import BulkheadFull
from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.breaker.machine import MachineState
from perdure.resilience.breaker.sense import DAY_MS, state_from
from perdure.resilience.failover.group import FailoverConfig, FailoverGroup, Member
from perdure.resilience.limits.permits import Permits, PermitsConfig
from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig
from perdure.resilience.redis.lua_scripts import source
from perdure.resilience.retry.budget import RetryBudget
from perdure.resilience.service.call_key import keyed
from perdure.resilience.service.fallback import Fallback
from support.thorough import part_of
from support.waiting import wait_until

BREAKER, HISTORY, NAMES = "perdure:breaker:{payments}", "perdure:breaker:{payments}:history", "perdure:breakers"
PERMITS, WAITING = "perdure:permits:{exports:}", "perdure:permits:{exports:}:waiting"
RATE, BUDGET = "perdure:rate:{mail:}", "perdure:retry-budget:{mail}"
GROUP, RECORDS, TURN = "perdure:failover:{mail}", "perdure:failover:{mail}:records", "perdure:failover:{mail}:turn"
TYPES = ["string", "list", "set", "zset", "hash", "stream"]
ODD: list[Any] = [
    *["q", "", "nan", "-nan", "inf", "-inf", "-1", "-9e99", "1e308", "9" * 15, "9" * 400, "0x10", "1.5", "007", "-0", " 1"],
    *["null", "[1]", "1:2:3:4", "a:b,c:d", "a:" + "9" * 14, "a:1" + "0" * 30, "5:5:5:5," + "9" * 30 + ":1:1:1", "é:1"],
    *["ssff", "half", "open", "closed", "half_open", b"\xff\xfe\x00"],
]  # fmt: skip
NOW = 1_700_000_000_000
FIELDS = list(MachineState.__struct_fields__)

odd_hashes = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ODD) | st.text(max_size=8), max_size=len(FIELDS))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as found:
        yield found


def put(client: redis.Redis, key: str, kind: str) -> None:
    """Put something of another type at a key."""
    client.delete(key)
    puts: dict[str, Callable[[], object]] = {
        "string": lambda: client.set(key, "q"),
        "list": lambda: client.rpush(key, "q"),
        "set": lambda: client.sadd(key, "q"),
        "zset": lambda: client.zadd(key, {"q": 1}),
        "hash": lambda: client.hset(key, "q", "q"),
        "stream": lambda: client.xadd(key, {"q": "q"}),
    }
    puts[kind]()


def fails(breaker: CircuitBreaker) -> None:
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)


def new(url: str, **config: Any) -> CircuitBreaker:
    return CircuitBreaker(url, "payments", BreakerConfig(failure_threshold=1, max_staleness=0, **config))


@pytest.mark.parametrize(
    ("key", "made_for", "kind"),
    [
        (key, made_for, kind)
        for key, made_for in ((BREAKER, "hash"), (HISTORY, "list"), (NAMES, "zset"))
        for kind in TYPES
        if kind != made_for
    ],
)
def test_a_breaker_whose_key_is_of_another_type(
    redis_url: str, client: redis.Redis, key: str, made_for: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(client, key, kind)
    breaker = new(redis_url)
    assert breaker.call(int) == 0
    assert breaker.history() == []
    assert breaker.snapshot().shared
    fails(breaker)
    assert (breaker.state, new(redis_url).state) == ("open", "open")
    assert [change.to_state for change in breaker.history()] == ["open"]
    assert list(Breakers(redis_url)) == ["payments"]
    assert [record.message for record in caplog.records] == [
        f"circuit breaker 'payments': the key {key} in Redis was a {kind} and no {made_for}; it is made anew"
    ]
    if key != NAMES:
        assert new(redis_url).snapshot().repaired == f"{key} was a {kind}"
    breaker.reset()
    assert breaker.snapshot().repaired == ""


@pytest.mark.slow
@settings(max_examples=part_of(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=odd_hashes, config=st.sampled_from([{}, {"half_open_permits": 3}, {"window": "time", "window_size": 10}]))
def test_no_values_of_a_breaker_stop_calls_for_longer_than_a_recovery(
    redis_url: str, values: dict[str, Any], config: dict[str, Any]
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.delete(BREAKER)
        if values:
            client.hset(BREAKER, mapping={field: value.encode() if isinstance(value, str) else value
                                          for field, value in values.items()})  # fmt: skip
        breaker = new(redis_url, **config)
        breaker.snapshot()
        breaker.history()
        breaker.admits(5)
        breaker.free("somebody")
        for _ in range(3):
            if breaker.snapshot().override:
                breaker.reset()
            if breaker.state == "open":
                assert breaker.next_probe_in() <= 600
                with pytest.raises(CircuitOpen):
                    breaker.call(int)
                client.hset(BREAKER, "until_ms", 1)
            try:
                breaker.call(int)
            except CircuitOpen:  # all permits are held by somebody: their leases end
                assert breaker.snapshot().trials_under_way
                client.hset(BREAKER, "permits", "")
                breaker.call(int)
        assert breaker.state == "closed"
        assert breaker.snapshot().shared
        fails(breaker)
        assert breaker.state == "open"


def check_twins(client: redis.Redis, values: dict[str, Any], window: Any = "count", permits: int = 1) -> MachineState:
    """Let both make sense of a hash; returns the state."""
    config = BreakerConfig(window=window, window_size=10, half_open_permits=permits).numbers
    flat = [each for pair in values.items() for each in pair]
    script = (
        source("breaker_enter").rsplit("-- May a call go ahead?", 1)[0]
        + """
        local s, _, odd = state_from(cjson.decode(ARGV[2]), cjson.decode(ARGV[1]), tonumber(ARGV[3]))
        s.repaired = table.concat(odd, ',')
        return cjson.encode(s)"""
    )
    got = msgspec.json.decode(client.eval(script, 0, config.to_json(), msgspec.json.encode(flat), NOW))  # type: ignore[arg-type]
    state, odd = state_from(list(flat), config, NOW)
    got["repaired"] = sorted(filter(None, got["repaired"].split(",")))
    assert got == {**asdict(state), "repaired": odd}, values
    return state


@pytest.mark.slow
@settings(max_examples=part_of(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=odd_hashes, window=st.sampled_from(["count", "time"]), permits=st.sampled_from([1, 3]))
def test_lua_and_python_make_the_same_sense(redis_url: str, values: dict[str, Any], window: Any, permits: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        check_twins(client, {field: value for field, value in values.items() if isinstance(value, str)}, window, permits)


@pytest.mark.slow
def test_lua_and_python_make_the_same_sense_of_each_odd_value(client: redis.Redis) -> None:
    edges = [str(NOW + more) for more in (-1, 0, 1, 60_000, 600_000, 600_001, 86_400_000, 86_400_001)]
    edges += [f"a:{edge}" for edge in edges]
    for state in ("closed", "open", "half_open"):
        for override in ("", "open"):
            for field in FIELDS:
                for value in [each for each in ODD if isinstance(each, str)] + edges:
                    base = {"state": state, "override": override, "override_until_ms": str(NOW + 600_000)}
                    found = check_twins(client, {**base, field: value})
                    assert override or found.state != "open" or found.until_ms <= NOW + 600_000
                    assert all(int(each.split(":")[1]) <= NOW + DAY_MS for each in found.permits.split(",") if each)


@pytest.mark.parametrize(
    "values",
    [
        {"state": "half_open", "permits": f"a:{9 * 10**12}"},
        {"state": "half_open", "permits": "q"},
        {"state": "half_open", "passed": 10**9},
        {"state": "open", "until_ms": -1},
        {"state": "open", "until_ms": 9 * 10**12, "recovery_ms": 1},
        {"state": "q", "until_ms": 9 * 10**12, "override": "q"},
    ],
)
def test_values_that_would_let_no_call_through_for_ever(
    redis_url: str, client: redis.Redis, values: dict[Any, Any]
) -> None:
    client.hset(BREAKER, mapping=values)
    breaker = new(redis_url, recovery_timeout=0.001)
    assert breaker.next_probe_in() <= 0.001
    wait_until(lambda: breaker.admits(1).count == 1, timeout=5)
    assert breaker.call(int) == 0
    assert breaker.state == "closed"


def test_what_makes_no_sense_is_said_once(redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    client.hset(BREAKER, mapping={"failures": "q", "streak": "nan", "rejected": "x"})
    breaker = new(redis_url)
    for _ in range(3):
        breaker.call(int)
    fails(breaker)
    for _ in range(3):
        with pytest.raises(CircuitOpen):
            breaker.call(int)
    said = "circuit breaker 'payments': values in Redis made no sense and are replaced (failures, rejected, streak)"
    assert [record.message for record in caplog.records] == [said]
    snapshot = new(redis_url).snapshot()
    assert (snapshot.repaired, snapshot.failures, snapshot.rejected) == ("failures, rejected, streak", 1, 3)


def test_odd_rows_of_the_history_and_of_the_names_are_passed_over(redis_url: str, client: redis.Redis) -> None:
    breaker = new(redis_url)
    fails(breaker)
    for odd in ODD:
        client.rpush(HISTORY, odd)
        client.zadd(NAMES, {odd or "x y": 9e12})
    assert [change.to_state for change in breaker.history()] == ["open"]
    assert "payments" in list(Breakers(redis_url))
    assert len(Breakers(redis_url).snapshots()) == len(list(Breakers(redis_url)))


def test_trials_that_a_larger_configuration_let_pass_do_not_block_a_smaller_one(
    redis_url: str, client: redis.Redis
) -> None:
    client.hset(BREAKER, mapping={"state": "half_open", "passed": 2, "generation": 1})
    breaker = new(redis_url, half_open_permits=2)
    assert breaker.call(int) == 0
    assert breaker.state == "closed"


def test_a_window_of_another_kind_begins_anew_without_a_word(
    redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for window, other in ("count", "time"), ("time", "count"):
        client.flushall()
        CircuitBreaker(redis_url, "payments", BreakerConfig(failure_threshold=9, window=window)).reset()  # type: ignore[arg-type]
        before = CircuitBreaker(redis_url, "payments", BreakerConfig(failure_threshold=9, window=window))  # type: ignore[arg-type]
        fails(before)
        after = CircuitBreaker(redis_url, "payments", BreakerConfig(failure_threshold=9, window=other))  # type: ignore[arg-type]
        assert after.snapshot().window_calls == 0
        fails(after)
        assert after.snapshot().window_calls == 1
    assert not caplog.records


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("key", [PERMITS, WAITING])
def test_permits_whose_key_is_of_another_type(redis_url: str, client: redis.Redis, key: str, kind: str) -> None:
    def spoil() -> None:
        if kind != "zset":
            put(client, key, kind)

    permits = Permits(redis_url, "exports", PermitsConfig(limit=1))
    spoil()
    held = permits.acquire()
    spoil()
    permits.snapshot()
    spoil()
    held.renew()
    spoil()
    held.release()
    spoil()
    permits.free("", "somebody")
    with permits.acquire(timeout=5), pytest.raises(BulkheadFull):
        permits.acquire()
    assert permits.snapshot().shared


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), -5, 0, 1e300, 9e15, 1e14])
def test_permits_that_would_be_held_for_ever(
    redis_url: str, client: redis.Redis, score: float, caplog: pytest.LogCaptureFixture
) -> None:
    permits = Permits(redis_url, "exports", PermitsConfig(limit=2, max_waiting=1))
    kept = permits.acquire()
    client.zadd(PERMITS, {"a": score, "b": score})
    client.zadd(WAITING, {"a": score, "b": score})
    with permits.acquire(timeout=5):
        assert permits.snapshot().held == 2
        assert permits.snapshot().waiting == 0
        assert kept.renew()
    assert len(caplog.records) == (score > 1e9)


@pytest.mark.parametrize("kind", TYPES)
def test_buckets_whose_key_is_of_another_type(redis_url: str, client: redis.Redis, kind: str) -> None:
    if kind != "hash":
        put(client, RATE, kind)
    if kind != "string":
        put(client, BUDGET, kind)
    rate, budget = RateLimit(redis_url, "mail", RateLimitConfig(rate=1, burst=5)), RetryBudget(redis_url, "mail")
    rate.acquire()
    assert budget.take(ValueError()) == 5
    assert rate.snapshot().shared
    assert (round(rate.snapshot().tokens), budget.snapshot().tokens) == (4, 495)
    assert budget.snapshot().shared


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("field", ["tokens", "at"])
def test_odd_values_of_a_rate_limit(redis_url: str, client: redis.Redis, field: str, value: Any) -> None:
    client.hset(RATE, mapping={"tokens": "0", "at": "1", field: value})
    rate = RateLimit(redis_url, "mail", RateLimitConfig(rate=1000, burst=1000))
    rate.acquire(timeout=5)
    assert rate.snapshot().shared
    assert 0 <= rate.snapshot().tokens <= 1000


def test_a_rate_limit_whose_time_is_ahead_of_the_clock(redis_url: str, client: redis.Redis) -> None:
    client.hset(RATE, mapping={"tokens": "0", "at": str((int(time.time()) + 86_400) * 1000)})
    RateLimit(redis_url, "mail", RateLimitConfig(rate=1000, burst=1000)).acquire(timeout=5)


@pytest.mark.parametrize("value", ODD)
def test_odd_values_of_a_retry_budget(redis_url: str, client: redis.Redis, value: Any) -> None:
    client.set(BUDGET, value)
    budget = RetryBudget(redis_url, "mail")
    for _ in range(6):
        budget.give_back()
    assert budget.take(ValueError()) == 5
    assert budget.snapshot().shared
    assert 0 <= budget.snapshot().tokens <= 500


def group(url: str) -> FailoverGroup[str]:
    config = FailoverConfig(failure_threshold=2, max_staleness=0)
    return FailoverGroup(url, "mail", [Member("eu", "eu", lambda: True), Member("us", "us", lambda: True)], config)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("key", [GROUP, RECORDS, TURN])
def test_a_failover_group_whose_key_is_of_another_type(redis_url: str, client: redis.Redis, key: str, kind: str) -> None:
    if kind != {GROUP: "hash", RECORDS: "list"}.get(key):
        put(client, key, kind)
    mail = group(redis_url)
    assert mail.call(str) == "eu"
    mail.promote("us", reason="by hand")
    assert mail.call(str) == "us"
    assert [record.to_member for record in mail.records()] == ["us"]
    assert mail.snapshot().shared
    assert mail._is_my_turn() or mail._is_my_turn(), "a foreign key holds the turn for one look at most"


@pytest.mark.slow
@settings(max_examples=part_of(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from(
            ["current", "epoch", "since_ms", "failures:eu", "failures:us", "healthy_since:eu", "healthy_since:us"]
        ),
        st.sampled_from(ODD),
        min_size=1,
    )
)
def test_odd_values_of_a_failover_group(redis_url: str, values: dict[str, Any]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.delete(GROUP)
        client.hset(GROUP, mapping=values)
        for odd in ODD:
            client.rpush(RECORDS, odd)
        mail = group(redis_url)
        assert mail.call(str) in ("eu", "us")
        mail.promote("us", reason="by hand")
        assert mail.call(str) == "us"
        mail.promote("eu", reason="by hand")
        assert mail.call(str) == "eu"
        assert mail.records()[0].to_member == "eu"
        assert mail.snapshot().shared
        assert all(mail.check().values())


def test_an_epoch_never_goes_back(redis_url: str, client: redis.Redis) -> None:
    mail = group(redis_url)
    mail.promote("us", reason="by hand")
    before = mail.epoch
    client.hset(GROUP, "epoch", "q")
    assert group(redis_url).snapshot().epoch > before


@pytest.mark.parametrize("value", [*ODD, "{}", '{"at": "q", "value": 1}', '{"at": NaN, "value": 1}', '{"value": 1}'])
def test_odd_values_of_a_fallback(redis_url: str, client: redis.Redis, value: Any) -> None:
    down = keyed("rates", lambda: 1 // 0)
    rates = Fallback("rates", redis=redis_url, default=5)
    rates.keep(4, down)
    keys: list[Any] = client.keys("perdure:fallback:*")
    (key,) = keys
    client.set(key, value)
    assert rates.call(down) == 5
    for kind in TYPES[1:]:
        put(client, key, kind)
        assert rates.call(down) == 5
    assert rates._last_good is not None
    assert rates._last_good._link.up


def test_a_broken_link_is_not_mistaken_for_a_foreign_value(
    redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What Redis refuses for another reason deletes nothing."""
    breaker = new(redis_url)
    fails(breaker)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(CircuitOpen):
            breaker.call(int)
        breaker.force_closed()
    finally:
        client.config_set("maxmemory", 0)
    assert client.hget(BREAKER, "state") == b"open"
    assert all(record.levelno == logging.WARNING and "Redis failed" in record.message for record in caplog.records)
