"""The resource pool: bounds, waiting, replacing what is broken or old."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

import pytest

from perdure.errors import BulkheadFull, SettingsError
from perdure.resilience.limits.resource_pool import PoolConfig, PoolEvent, ResourcePool
from perdure.resilience.service.deadline import remaining


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


def test_a_validation_that_hangs_is_given_up_within_the_time_and_the_resource_replaced() -> None:
    hang, never = [False], Event()
    pool = ResourcePool("db", Connection, PoolConfig(size=1), validate=lambda c: not hang[0] or never.wait())
    with pool.acquire() as first:
        pass
    hang[0] = True
    with pytest.raises(BulkheadFull, match="no resource that works"), pool.acquire(timeout=0.2):
        pass
    assert pool.snapshot().in_use == pool.snapshot().idle == 0
    with pool.acquire(timeout=0.2) as second:
        assert second is not first
    never.set()


def test_a_pool_without_patience_lends_what_works() -> None:
    pool = make(size=1)
    with pool.acquire(timeout=0) as first:
        pass
    with pool.acquire(timeout=0) as second:
        assert second is first


def test_create_sees_what_is_left() -> None:
    seen: list[float | None] = []
    pool = ResourcePool("db", lambda: seen.append(remaining()))
    with pool.acquire(timeout=3):
        pass
    assert seen[0] is not None
    assert 0 < seen[0] <= 3


def in_a_child(tell: Callable[[], str]) -> str:
    """Return what a forked process says."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = tell()
        except BaseException as error:
            told = repr(error)
        os.write(write, told.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(read, 1000).decode()


def test_a_forked_process_has_resources_of_its_own_and_closes_none_of_its_parents() -> None:
    closed: list[int] = []
    pool = ResourcePool("db", Connection, PoolConfig(size=2), close=lambda c: closed.append(1))
    with pool.acquire() as lent:
        with pool.acquire() as idle:
            pass

        def use() -> str:
            with pool.acquire(timeout=0) as first, pool.acquire(timeout=0) as second:
                own = not {id(first), id(second)} & {id(lent), id(idle)}
            pool.close()
            return f"{own} {len(closed)} {pool.snapshot().in_use}"

        assert in_a_child(use) == "True 2 0", "its own two are closed and no other"
    assert pool.snapshot().idle == 2


def test_what_was_lent_when_the_process_was_forked_is_the_parents() -> None:
    closed: list[int] = []
    pool = ResourcePool("db", Connection, PoolConfig(size=1, max_age=0.000001), close=lambda c: closed.append(1))
    lending = pool.acquire()
    lending.__enter__()

    def give_back() -> str:
        lending.__exit__(None, None, None)
        return f"{len(closed)} {pool.snapshot().in_use} {pool.snapshot().idle}"

    assert in_a_child(give_back) == "0 0 0"


class AsyncConnection(Connection):
    async def ping(self) -> bool:
        await asyncio.sleep(0)
        return not self.broken

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


async def connect() -> AsyncConnection:
    await asyncio.sleep(0)
    return AsyncConnection()


def test_async() -> None:
    async def run() -> None:
        pool = ResourcePool("db", connect, PoolConfig(size=1), validate=AsyncConnection.ping, close=AsyncConnection.aclose)
        async with pool.acquire_async() as first:
            with pytest.raises(BulkheadFull):
                async with pool.acquire_async(timeout=0):
                    pass
        async with pool.acquire_async() as second:
            assert second is first
            first.broken = True
        async with pool.acquire_async() as third:
            assert third is not first
        assert first.closed
        await pool.close_async()
        assert third.closed
        with pytest.raises(BulkheadFull, match="closed"):
            async with pool.acquire_async():
                pass

    asyncio.run(run())


def test_a_cancelled_task_holds_nothing() -> None:
    async def run() -> None:
        hang = asyncio.Event()

        async def check(connection: AsyncConnection) -> bool:
            return await hang.wait()

        pool = ResourcePool("db", connect, PoolConfig(size=1), validate=check)
        async with pool.acquire_async():
            waiting = asyncio.create_task(pool.acquire_async().__aenter__())
            while not pool.snapshot().waiting:
                await asyncio.sleep(0.001)
            waiting.cancel()
            await asyncio.wait([waiting])
        checking = asyncio.create_task(pool.acquire_async().__aenter__())
        while pool.snapshot().idle or not pool.snapshot().in_use:
            await asyncio.sleep(0.001)
        checking.cancel()
        await asyncio.wait([checking])
        assert (pool.snapshot().in_use, pool.snapshot().idle) == (0, 1)

    asyncio.run(run())


def test_asynchronous_parts_of_a_synchronous_call_are_refused() -> None:
    pool: ResourcePool[Any] = ResourcePool("db", connect)
    with pytest.raises(TypeError, match="acquire_async"), pool.acquire():
        pass
    assert pool.snapshot().in_use == 0


def test_presets() -> None:
    sizes = {name: PoolConfig.named(name).size for name in ("critical", "normal", "background")}
    assert sizes == {"critical": 10, "normal": 5, "background": 3}
    assert PoolConfig.named("normal").timeout == 5
    with pytest.raises(SettingsError, match="Did you mean 'critical'"):
        PoolConfig.named("critcal")
    with pytest.raises(SettingsError, match="size must be 1 or more"):
        PoolConfig(size=0)
