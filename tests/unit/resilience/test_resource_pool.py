"""The resource pool: bounds, waiting, replacing what is broken or old."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

import pytest

from perdure.errors import BulkheadFull
from perdure.resilience.limits.resource_pool import PoolConfig, PoolEvent, ResourcePool


class Connection:
    def __init__(self) -> None:
        self.broken = self.closed = False


def make(**options: Any) -> ResourcePool[Connection]:
    config = {key: options.pop(key) for key in ("size", "timeout", "max_age", "max_idle") if key in options}

    def close(connection: Connection) -> None:
        connection.closed = True

    return ResourcePool("db", Connection, PoolConfig(**config), validate=lambda c: not c.broken, close=close, **options)


def test_lends_the_same_resource_again() -> None:
    pool = make(size=2)
    events: list[PoolEvent] = []
    pool.listen(events.append)
    with pool.acquire() as first:
        pass
    with pool.acquire() as second:
        assert second is first
        with pool.acquire() as third:
            assert third is not first
            with pytest.raises(BulkheadFull, match="all 2 resources"), pool.acquire(timeout=0):
                pass
    assert [event.kind for event in events] == ["created", "created", "refused"]
    assert (pool.snapshot().created, pool.snapshot().in_use, pool.snapshot().idle) == (2, 0, 2)


def test_replaces_broken_resources() -> None:
    pool = make(size=1)
    used: list[Connection] = []

    def use() -> None:
        with pool.acquire() as connection:
            used.append(connection)
            connection.broken = True
            raise KeyError

    with pytest.raises(KeyError):
        use()
    first = used[0]
    assert first.closed
    with pool.acquire() as second:
        assert second is not first
    second.broken = True
    with pool.acquire() as third:
        assert third is not second
    assert pool.snapshot().replaced == 2


def test_replaces_old_and_idle_resources() -> None:
    now = [0.0]
    pool = make(size=1, max_age=10, max_idle=5, clock=lambda: now[0])
    with pool.acquire() as first:
        pass
    now[0] = 4
    with pool.acquire() as second:
        assert second is first
    now[0] = 9.5
    with pool.acquire() as third:
        assert third is not first
        now[0] = 30
    assert third.closed


def test_a_failed_creation_gives_its_place_back() -> None:
    attempts = [ConnectionError(), None]

    def create() -> Connection:
        if error := attempts.pop(0):
            raise error
        return Connection()

    pool = ResourcePool("db", create, PoolConfig(size=1))
    with pytest.raises(ConnectionError), pool.acquire():
        pass
    with pool.acquire(timeout=0):
        pass


def test_threads_never_share_and_never_exceed_the_size() -> None:
    pool, lock = make(size=3), Lock()
    inside: set[int] = set()
    most, shared = [0], [0]

    def work() -> None:
        for _ in range(200):
            with pool.acquire() as connection:
                with lock:
                    shared[0] += id(connection) in inside
                    inside.add(id(connection))
                    most[0] = max(most[0], len(inside))
                with lock:
                    inside.remove(id(connection))

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared[0] == 0
    assert most[0] <= 3
    assert pool.snapshot().created <= 3


def test_nobody_overtakes_who_waits(until: Callable[..., None]) -> None:
    pool, done = make(size=1), Event()

    def wait() -> None:
        with pool.acquire(timeout=20):
            done.wait(20)

    waiter = Thread(target=wait)
    with pool.acquire():
        waiter.start()
        until(lambda: pool.snapshot().waiting == 1, "the waiter")
    with pytest.raises(BulkheadFull), pool.acquire(timeout=0):
        pass
    done.set()
    waiter.join(20)


def test_close_wakes_waiters(until: Callable[..., None]) -> None:
    pool = make(size=1)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with pool.acquire(timeout=20):
                pass
        except BulkheadFull as error:
            errors.append(error)

    with pool.acquire() as connection:
        waiter = Thread(target=wait)
        waiter.start()
        until(lambda: pool.snapshot().waiting == 1, "the waiter")
        pool.close()
        waiter.join(20)
    assert "closed" in str(errors[0])
    assert connection.closed
