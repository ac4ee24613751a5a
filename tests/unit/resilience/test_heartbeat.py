"""Nodes of a service that beat and fall silent: who is found dead or back is told once, whoever watches."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
import redis

from perdure.errors import SettingsError
from perdure.resilience import HeartbeatConfig, HeartbeatMonitor, NodeEvent
from perdure.resilience.redis.link import SharedStateUnavailable

from .conftest import RedisServer, wait_until

pytestmark = pytest.mark.slow

#: A lease of half a second for nodes that fall silent on purpose.
BRIEF = HeartbeatConfig(interval=0.1, missed=5)
LONG = HeartbeatConfig(interval=1, missed=60)

NODE = """
import sys, threading
from perdure.resilience import HeartbeatConfig, HeartbeatMonitor
with HeartbeatMonitor(sys.argv[1], "shards", HeartbeatConfig(interval=0.1, missed=5)).beating("one"):
    print("beating", flush=True)
    sys.stdin.read()
"""


def told(*monitors: HeartbeatMonitor) -> list[str]:
    """What the hooks of some monitors are told, all together."""
    events: list[str] = []
    for monitor in monitors:
        _hook(monitor, events)
    return events


def _hook(monitor: HeartbeatMonitor, events: list[str]) -> None:

    @monitor.on_node_failure
    def failed(event: NodeEvent) -> None:
        events.append(f"{event.node} failed")

    @monitor.on_node_recovery
    async def back(event: NodeEvent) -> None:
        events.append(f"{event.node} is back")


def states(monitor: HeartbeatMonitor) -> dict[str, str]:
    return {each.node: each.state for each in monitor.nodes()}


def test_a_node_that_is_killed_is_told_of_once_and_so_is_its_return(redis_server: RedisServer) -> None:
    watchers = [HeartbeatMonitor(redis_server.url, "shards", BRIEF) for _ in range(2)]
    events = told(*watchers)
    process = subprocess.Popen(
        [sys.executable, "-c", NODE, redis_server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"beating\n"
        wait_until(lambda: "one" in states(watchers[0]), "the first beat")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: look(watchers) and events, "the failure to be told")
        with watchers[0].beating("one"):
            wait_until(lambda: look(watchers) and len(events) > 1, "the return to be told")
    finally:
        process.kill()
        process.wait()
    assert events == ["one failed", "one is back"]


def look(watchers: list[HeartbeatMonitor]) -> bool:
    for watcher in watchers:
        watcher.check()
    return True


def test_a_node_that_says_goodbye_has_not_failed(redis_server: RedisServer) -> None:
    monitor = HeartbeatMonitor(redis_server.url, "goodbye", LONG)

    async def serve() -> None:
        async with monitor.beating_async("two"):
            await asyncio.to_thread(wait_until, lambda: states(monitor) == {"two": "healthy"}, "a beat of the loop")

    with monitor.beating("one"):
        wait_until(lambda: "one" in states(monitor), "a beat of the thread")
    asyncio.run(serve())
    assert monitor.nodes() == []
    assert monitor.check() == []


def test_one_that_raises_stays_to_be_found_dead(redis_server: RedisServer) -> None:
    monitor = HeartbeatMonitor(redis_server.url, "raised", BRIEF)
    events = told(monitor)

    def serve() -> None:
        with monitor.beating("one"):
            wait_until(lambda: states(monitor), "a beat")
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        serve()

    async def watch() -> None:
        watching = asyncio.create_task(monitor.watch())
        await asyncio.to_thread(wait_until, lambda: events == ["one failed"], "the failure")
        watching.cancel()

    asyncio.run(watch())


def test_a_hook_that_fails_stops_no_other(redis_server: RedisServer) -> None:
    monitor = HeartbeatMonitor(redis_server.url, "hooks", BRIEF)

    @monitor.on_node_failure
    def broken(event: NodeEvent) -> None:
        raise ValueError("a bug")

    events = told(monitor)
    monitor.beat("one")
    monitor.start()
    wait_until(lambda: events == ["one failed"], "the failure to be told")
    monitor.stop()


def test_nobody_is_judged_by_the_time_for_which_redis_was_away(own_redis: RedisServer) -> None:
    monitor = HeartbeatMonitor(own_redis.url, "away", LONG)
    monitor.beat("one")
    own_redis.kill()
    with pytest.raises(SharedStateUnavailable):
        monitor.check()
    own_redis.start()
    client = redis.Redis.from_url(own_redis.url)
    client.hset("perdure:heartbeat:{away}", "one", 1)  # silent since 1970
    monitor._link._try_again_at = 0.0
    assert monitor.check() == []
    monitor._judges_from = 0.0  # a lease later
    assert [event.target for event in monitor.check()] == ["failed"]


def test_what_somebody_else_wrote_there_harms_nobody(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)
    client.hset("perdure:heartbeat:{odd}", mapping={"one": "soon", "two": "99999999999999"})
    client.set("perdure:heartbeat:{odd}:states", "no hash")
    monitor = HeartbeatMonitor(client, "odd", LONG)
    assert states(monitor) == {"two": "healthy"}
    monitor.beat("one")
    assert states(monitor) == {"one": "healthy", "two": "healthy"}


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingsError, match="interval must be above 0; missed must be 1 or more"):
        HeartbeatConfig(interval=0, missed=0)
