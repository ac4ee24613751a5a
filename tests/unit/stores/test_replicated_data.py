"""A service's own data on three stores: what a minority of them loses, damages or makes up harms nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from perdure.model.storage_errors import InsufficientReplicas, InvalidRecord
from perdure.stores import FilesystemStore, RecordCodec, RedisStore, ReplicatedData
from perdure.stores.protocol import CheckpointStore
from support.ledgers import at_once

from .faulty import FaultyStore, Mode


@pytest.fixture
def parts() -> list[FaultyStore]:
    return [FaultyStore(f"s{n}") for n in range(3)]


@pytest.fixture
def data(parts: list[FaultyStore]) -> ReplicatedData:
    return ReplicatedData(parts, "prices", timeout=5.0)


def put(data: ReplicatedData, name: str, value: Any) -> None:
    data.put(name, value)
    assert data._store.drain(30)


def test_values_come_back_as_they_are(data: ReplicatedData) -> None:
    put(data, "a", {"price": Decimal("1.10"), "tags": ("x", 1)})
    put(data, "a", {"price": Decimal("1.20"), "tags": ("x", 2)})
    put(data, "b", 1)
    assert data.get("a") == {"price": Decimal("1.20"), "tags": ("x", 2)}
    assert data.get("c", "nothing") == "nothing"
    data.delete("b")
    assert (data.get("b"), data.names()) == (None, ["a"])
    with pytest.raises(InvalidRecord):
        data.put("a/b", 1)


def test_one_store_of_three_may_be_away_and_is_repaired(data: ReplicatedData, parts: list[FaultyStore]) -> None:
    put(data, "a", 1)
    parts[0].mode = Mode.DOWN
    put(data, "a", 2)
    assert data.get("a") == 2
    parts[0].mode = Mode.UP
    assert data.verify().divergent == 1
    assert data.repair().repaired == 1
    assert data.verify().divergent == 0
    parts[1].mode = parts[2].mode = Mode.DOWN
    with pytest.raises(InsufficientReplicas):
        data.put("a", 3)
    with pytest.raises(InsufficientReplicas):
        data.get("a")


def test_what_is_left_can_be_looked_at_when_nobody_can_say(data: ReplicatedData, parts: list[FaultyStore]) -> None:
    put(data, "a", 1)
    put(data, "a", 2)
    assert [(copy.value, copy.confirmed) for copy in data.recover("a")] == [(2, True), (1, True)]
    parts[1].mode = parts[2].mode = Mode.DOWN
    assert [(copy.value, copy.stores, copy.confirmed) for copy in data.recover("a")] == [
        (2, ("s0",), False),
        (1, ("s0",), False),
    ]
    parts[1].mode = parts[2].mode = Mode.UP
    put(data, "a", data.recover("a")[0].value)
    assert data.get("a") == 2


def test_a_store_that_lies_decides_nothing(data: ReplicatedData, parts: list[FaultyStore]) -> None:
    put(data, "a", "true")
    honest = parts[0].inner.load("prices", "a")
    assert honest is not None
    parts[0].inner.save(replace(honest, seq=honest.seq + 10**9, data=b'"a lie"'))
    assert data.get("a") == "true"
    assert data.repair().unrepaired, "nothing is repaired from a copy that too few stores hold"
    put(data, "a", "newer")
    assert data.get("a") == "newer"


def test_writers_at_the_same_moment_leave_one_value_for_all(data: ReplicatedData, parts: list[FaultyStore]) -> None:
    def writer(number: int) -> Callable[[], None]:
        own = ReplicatedData(parts, "prices", timeout=30.0)
        return lambda: own.put("a", number)

    at_once([writer(number) for number in range(4)])
    found = {ReplicatedData(parts, "prices", timeout=30.0).get("a") for _ in range(3)}
    assert len(found) == 1
    assert found <= set(range(4))


def test_it_is_the_same_on_folders_and_redis_and_in_a_loop(tmp_path: Path, redis_url: str) -> None:
    Redis.from_url(redis_url).flushdb()
    codec = RecordCodec(b"0123456789abcdef")
    stores: list[CheckpointStore] = [FilesystemStore(str(tmp_path / name), name=name, codec=codec) for name in "ab"]
    stores.append(RedisStore.from_url(redis_url, name="redis", codec=codec))
    data = ReplicatedData(stores, "prices", authenticated=True, timeout=30.0)

    async def serve() -> Any:
        await data.put_async("a", [1, 2])
        await data.put_async("b", 1)
        await data.delete_async("b")
        return await data.get_async("a"), await data.get_async("b", "gone")

    assert asyncio.run(serve()) == ([1, 2], "gone")
    assert data._store.drain(30)
    assert [copy.stores for copy in data.recover("a")] == [("a", "b", "redis")]
