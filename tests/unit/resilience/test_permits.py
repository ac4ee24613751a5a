"""Permits: never more than the limit in all processes, and none is lost with a holder that dies."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import redis

from perdure.errors import BulkheadFull, SettingsError
from perdure.resilience.limits.permits import PermitEvent, Permits, PermitsConfig
from perdure.resilience.service.deadline import deadline

Drivers = Callable[..., "subprocess.Popen[str]"]
Until = Callable[..., None]
PROCESSES = 4  # more than there are permits


def make(url: str, **config: Any) -> Permits:
    return Permits(url, "exports", PermitsConfig(**({"limit": 2} | config)))


def test_limit_is_per_key_and_permits_come_back(redis_url: str) -> None:
    permits = make(redis_url)
    first, second = permits.acquire("a"), permits.acquire("a")
    with pytest.raises(BulkheadFull, match="all 2 are held"):
        permits.acquire("a")
    with permits.acquire("b"):
        pass
    assert permits.snapshot("a").held == 2
    assert permits.snapshot("b").held == 0
    first.release()
    first.release()
    assert permits.snapshot("a").held == 1
    with make(redis_url).acquire("a"):
        assert permits.snapshot("a").held == 2
    second.release()


@pytest.mark.slow
def test_several_processes_never_hold_more_than_the_limit(redis_url: str, drivers: Drivers, until: Until) -> None:
    client = redis.Redis.from_url(redis_url)
    for _ in range(PROCESSES):
        drivers("permits_driver.py", "compete", redis_url, 3)
    until(lambda: int(client.get("ready") or 0) == PROCESSES, "all processes")
    until(lambda: int(client.get("done") or 0) >= 200, "200 permits")
    client.set("stop", 1)
    assert {int(count) for count in client.smembers("seen")} == {1, 2, 3}


@pytest.mark.slow
def test_a_killed_holder_frees_its_permit_after_its_lease(redis_url: str, drivers: Drivers, until: Until) -> None:
    permits = make(redis_url, limit=2, lease=1)
    with permits.acquire("a"):  # a living holder, whose permit must stay
        holder = drivers("permits_driver.py", "hold", redis_url, 1)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(BulkheadFull):
            permits.acquire("a", timeout=1.5)  # longer than the lease: the holder renews it
        holder.kill()
        holder.wait()
        with permits.acquire("a", timeout=10), pytest.raises(BulkheadFull):
            permits.acquire("a")


def test_a_waiter_gets_what_is_released(redis_url: str, until: Until) -> None:
    permits = make(redis_url, limit=1)
    held = permits.acquire("a")
    got: list[str] = []

    def wait() -> None:
        with permits.acquire("a", timeout=20):
            got.append("permit")

    waiter = Thread(target=wait)
    waiter.start()
    until(lambda: permits.snapshot("a").waiting == 1, "the waiter")
    held.release()
    waiter.join(20)
    assert got == ["permit"]
    assert permits.snapshot("a").waiting == 0


def test_the_queue_of_waiters_is_bounded(redis_url: str, until: Until) -> None:
    permits = make(redis_url, limit=1, max_waiting=1)
    events: list[PermitEvent] = []
    permits.listen(events.append)
    held = permits.acquire()
    waiter = Thread(target=lambda: permits.acquire(timeout=20).release())
    waiter.start()
    until(lambda: permits.snapshot().waiting == 1, "the waiter")
    with pytest.raises(BulkheadFull, match="1 callers wait already"):
        permits.acquire(timeout=20)
    held.release()
    waiter.join(20)
    assert [event.kind for event in events].count("granted") == 2
    assert [event.kind for event in events].count("refused") == 1


def test_the_deadline_bounds_the_wait(redis_url: str) -> None:
    permits = make(redis_url, limit=1)
    with permits.acquire(), deadline(0.05), pytest.raises(BulkheadFull):
        permits.acquire(timeout=1000)


def test_a_holder_learns_that_its_lease_was_lost(redis_url: str, until: Until) -> None:
    permits = make(redis_url, limit=1, lease=0.3)
    permit = permits.acquire("a")
    assert permit.renew()
    with redis.Redis.from_url(redis_url) as client:
        client.delete("perdure:permits:{exports:a}")
    until(lambda: permit.lost, "the renewal to find out")
    assert not permit.renew()
    permit.release()


def test_each_process_limits_itself_while_redis_is_away(own_redis: Any) -> None:
    local, refusing = make(own_redis.url), make(own_redis.url, without_redis="refuse")
    before = local.acquire("a")
    own_redis.kill()
    during = local.acquire("a")
    assert during.local
    with pytest.raises(BulkheadFull):
        local.acquire("a")
    assert not local.snapshot("a").shared
    during.release()
    local.acquire("a").release()
    with pytest.raises(BulkheadFull):
        refusing.acquire("a")
    before.release()


def test_all_keys_expire(redis_url: str) -> None:
    permits = make(redis_url, limit=1)
    with permits.acquire(), redis.Redis.from_url(redis_url) as client:
        with pytest.raises(BulkheadFull):
            permits.acquire(timeout=0.01)
        assert client.keys("*")
        assert all(client.pttl(key) > 0 for key in client.keys("*"))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="limit must be 1"):
        PermitsConfig(limit=0)


def test_a_task_that_is_cancelled_while_it_waits_holds_nothing(redis_url: str, until: Until) -> None:
    permits = Permits(redis_url, "exports", PermitsConfig(limit=1))

    async def run() -> None:
        first = await permits.acquire_async()
        waiter = asyncio.create_task(permits.acquire_async(timeout=30))
        while permits.snapshot().waiting == 0:
            await asyncio.sleep(0.01)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        first.release()  # the thread, which cannot be cancelled, gets it now

    asyncio.run(run())
    until(lambda: (permits.snapshot().held, permits.snapshot().waiting) == (0, 0), "the permit to be given back")
    with permits.acquire():
        assert permits.snapshot().held == 1
