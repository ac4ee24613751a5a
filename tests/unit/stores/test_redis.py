"""What only Redis has: expiry, its memory limit, an absent server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from perdure.model.storage_errors import StaleWrite, StoreFull, StoreUnavailable
from perdure.stores.backends.redis import RedisStore
from perdure.stores.protocol import scan_all
from perdure.stores.record import CheckpointKey, CheckpointRecord

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


OTHER_TYPES = {
    "string": lambda client: client.set(KEY, "q"),
    "list": lambda client: client.rpush(KEY, "q"),
    "set": lambda client: client.sadd(KEY, "q"),
    "zset": lambda client: client.zadd(KEY, {"q": 1}),
    "stream": lambda client: client.xadd(KEY, {"q": "q"}),
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_of_another_type_is_made_anew(redis_url: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url, name="r1")
    calls: list[Callable[[], object]] = [
        lambda: store.load("j-1", "main"),
        lambda: store.head("j-1", "main"),
        lambda: store.drop_damaged("j-1", "main") or None,
        lambda: store.save(record(1)),
    ]
    for call in calls:
        client.delete(KEY)
        OTHER_TYPES[kind](client)
        assert list(scan_all(store)) == []
        assert call() is None
    assert store.load("j-1", "main") == record(1)
    said = f"r1: the key {KEY} was a {kind} and no hash; it is made anew"
    assert {line.message for line in caplog.records} == {said}


FOREIGN_FIELDS = [
    *["main", "main/", "main/q", "main/9", "main/-1", "main/" + "9" * 39, "main/" + "9" * 19 + "-", "main/zzz", "q", ""],
    *["main/" + "z" * 19 + "-" + "z" * 19, b"\xff\xfe/\xff", b"main/\xff", "main/" + "9" * 400],
]


@pytest.mark.parametrize("field", FOREIGN_FIELDS)
def test_a_field_that_is_no_version_counts_for_nothing(redis_url: str, field: str | bytes) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url)
    client.hset(KEY, field, "q")  # type: ignore[arg-type]
    assert store.load("j-1", "main") is None
    assert store.head("j-1", "main") is None
    assert list(scan_all(store)) == []
    store.save(record(1))
    client.hset(KEY, field, "q")  # type: ignore[arg-type]
    store.save(record(2))
    assert store.load("j-1", "main") == record(2)
    assert list(scan_all(store)) == [CheckpointKey("j-1", "main")]


def test_a_damaged_version_that_nobody_can_have_saved_stops_no_save(redis_url: str) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url)
    client.hset(KEY, f"main/{2**62:019d}-{1:019d}", "q")
    store.save(record(1))
    assert store.load("j-1", "main") == record(1)
    client.hset(KEY, f"main/{2:019d}-{1:019d}", "q")
    with pytest.raises(StaleWrite):
        store.save(record(2))  # that one may have been a record of the next claim


def test_scan_passes_over_keys_that_are_no_jobs(redis_url: str) -> None:
    client, store = Redis.from_url(redis_url), RedisStore.from_url(redis_url)
    store.save(record(1))
    for job in (b"", b"a b", b"\xff", b"x" * 200):
        client.hset(b"perdure:checkpoint:" + job, f"main/{1:019d}-{1:019d}", "q")
    assert list(scan_all(store)) == [CheckpointKey("j-1", "main")]
