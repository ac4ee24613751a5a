"""What only Redis has: expiry, its memory limit, an absent server."""

from __future__ import annotations

import pytest
from redis import Redis

from perdure.stores.errors import StoreFull, StoreUnavailable
from perdure.stores.protocol import scan_all
from perdure.stores.record import CheckpointKey, CheckpointRecord
from perdure.stores.redis import RedisStore

KEY = "perdure:checkpoint:j-1"


def record(seq: int = 1, data: bytes = b"state") -> CheckpointRecord:
    return CheckpointRecord("j-1", "main", seq=seq, fence=1, data=data, saved_at=0.0)


def test_each_save_sets_the_time_to_live(redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    store = RedisStore.from_url(redis_url, ttl=1000)
    store.save(record(1))
    assert 0 < client.ttl(KEY) <= 1000  # type: ignore[operator]
    client.expire(KEY, 10)
    store.save(record(2))
    assert client.ttl(KEY) > 10  # type: ignore[operator]


def test_without_a_ttl_checkpoints_stay(redis_url: str) -> None:
    RedisStore.from_url(redis_url).save(record())
    assert Redis.from_url(redis_url).ttl(KEY) == -1


def test_a_ttl_must_be_positive(redis_url: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        RedisStore.from_url(redis_url, ttl=0)


def test_a_full_server_is_a_clear_error(redis_url: str) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url)
    store.save(record(1))
    client.config_set("maxmemory", "1kb")
    try:
        with pytest.raises(StoreFull, match="maxmemory"):
            store.save(record(2))
    finally:
        client.config_set("maxmemory", "0")
    assert store.load("j-1", "main") == record(1)


def test_an_absent_server_is_a_clear_error() -> None:
    store = RedisStore.from_url("redis://127.0.0.1:1/0", name="r1", timeout=1)
    for call in (store.health, lambda: store.save(record()), lambda: store.load("j-1", "main")):
        with pytest.raises(StoreUnavailable, match="'r1'"):
            call()


def test_other_keys_of_the_server_are_left_alone(redis_url: str) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url)
    client.set("perdure:other", "x")
    store.save(record())
    assert set(scan_all(store)) == {CheckpointKey("j-1", "main")}
    store.delete("j-1")
    assert client.keys() == [b"perdure:other"]
