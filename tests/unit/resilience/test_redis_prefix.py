"""Two applications on one Redis database share nothing when their prefixes differ."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.resilience.breaker.breaker import CircuitBreaker
from perdure.resilience.breaker.breakers import Breakers
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.failover.group import FailoverGroup, Member
from perdure.resilience.limits.permits import Permits, PermitsConfig
from perdure.resilience.limits.rate_limit import RateLimit, RateLimitConfig
from perdure.resilience.service.fallback import FallbackConfig
from perdure.resilience.service.service import Service, ServiceConfig
from perdure.running.checkpoint_storage import _open
from perdure.stores.record import CheckpointRecord


def use_all(url: str, prefix: str) -> None:
    config = ServiceConfig(
        retry="fast",
        breaker=BreakerConfig(failure_threshold=1),
        rate=RateLimitConfig(rate=100),
        permits=PermitsConfig(limit=3),
        fallback=FallbackConfig(),
    )
    service = Service(url, "mail", config, prefix=prefix)
    service.call(int)
    service.snapshot()
    FailoverGroup(url, "mail", [Member("eu", 1, lambda: True)], prefix=prefix).check()
    group = FailoverGroup(url, "mail", [Member("eu", 1), Member("us", 2)], prefix=prefix)
    group.promote("us", reason="test")
    group._is_my_turn()
    permits = Permits(url, "mail", PermitsConfig(limit=1), prefix=prefix)
    with permits.acquire():
        permits._try("", "waiter", "waiter")
    RateLimit(url, "mail", RateLimitConfig(rate=1), prefix=prefix).acquire()
    breaker = CircuitBreaker(url, "mail", BreakerConfig(failure_threshold=1), prefix=prefix)
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)


def test_every_key_begins_with_the_prefix(redis_url: str) -> None:
    use_all(redis_url, "shop:")
    use_all(redis_url, "perdure:")
    with redis.Redis.from_url(redis_url) as client:
        keys = sorted(client.keys("*"))
        assert [key for key in keys if key.startswith(b"shop:")] == [
            b"shop:" + key.removeprefix(b"perdure:") for key in keys if key.startswith(b"perdure:")
        ]
        assert all(key.startswith((b"shop:", b"perdure:")) for key in keys)
        assert len(keys) > 16


def test_breakers_of_two_applications_do_not_meet(redis_url: str) -> None:
    config = {"mail": BreakerConfig(failure_threshold=1)}
    shop, crm = Breakers(redis_url, config, prefix="shop:"), Breakers(redis_url, config, prefix="crm:")
    with pytest.raises(ZeroDivisionError):
        shop["mail"].call(lambda: 1 // 0)
    with pytest.raises(CircuitOpen):
        shop["mail"].call(int)
    assert crm["mail"].call(int) == 0
    assert list(Breakers(redis_url, prefix="other:")) == []


def test_the_setting_reaches_breakers_services_limits_and_checkpoints(redis_url: str, tmp_path: Path) -> None:
    app = Perdure(
        home=tmp_path,
        broker_url=redis_url,
        redis_prefix="shop:",
        checkpoint_store="redis",
        bulkheads={"normal": {"limit": 2, "rate": 5}},
        resilience={"services": {"mail": {"rate": {"rate": 5}, "breaker": {"failure_threshold": 1}}}},
    )
    app.breakers["mail"].force_open()
    app.service("mail").rate.acquire()  # type: ignore[union-attr]
    app.limits._named("task:t", 1).acquire().release()
    app.limits._bucket("task:t", 1).acquire()
    _open("redis", app.settings, app.ledger, {}).save(CheckpointRecord("j-1", "main", 1, 1, b"x", 0.0))
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("shop:checkpoint:*")
        assert not [key for key in client.keys("*") if not key.startswith(b"shop:")]


@pytest.mark.parametrize("prefix", ["", "a b", "{", "x" * 65, "a*"])
def test_a_prefix_that_would_break_keys_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(SettingsError, match="redis_prefix"):
        Perdure(home=tmp_path, redis_prefix=prefix)
