"""Redis that is away, empty, slow, read-only, out of memory, or another one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from perdure_workers.chaos.cluster import LabFailed
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.embedded.redis import RedisServer

#: A port where no Redis listens: the copy of nobody takes no writes.
_NOBODY = ("127.0.0.1", 1)
#: Seconds between two looks at a copy that is being made, and how many there are.
_LOOK_S, _LOOKS = 0.1, 100


@contextmanager
def away(bench: Bench) -> Iterator[str]:
    """Kill Redis (SIGKILL), and start it again with what it has written."""
    bench.cluster.redis.kill()
    try:
        yield "kill -9"
    finally:
        bench.cluster.redis.start()


@contextmanager
def restarted_empty(bench: Bench) -> Iterator[str]:
    """Kill Redis, and start it again with nothing."""
    server = bench.cluster.redis
    server.kill()
    for path in server.data_dir.glob("appendonly*"):  # a file up to Redis 6, a folder from 7 on
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        yield "kill -9, its data lost"
    finally:
        server.start()


@contextmanager
def emptied(bench: Bench) -> Iterator[str]:
    """FLUSHALL, of a Redis that the platform has for itself."""
    if not bench.platform.has_own_redis:
        yield "not done: others may use it"
        return
    with redis.Redis.from_url(bench.platform.redis_url) as client:
        client.flushall()
    yield "FLUSHALL"


@contextmanager
def slow(bench: Bench) -> Iterator[str]:
    """Redis answers nobody for a while (CLIENT PAUSE), and then everybody."""
    with _client(bench.cluster.redis) as client:
        client.execute_command("CLIENT", "PAUSE", int(bench.lasts * 1000))
    yield "CLIENT PAUSE"


@contextmanager
def read_only(bench: Bench) -> Iterator[str]:
    """Redis is a replica whose primary is gone: it answers reads and refuses writes."""
    with _client(bench.cluster.redis) as client:
        client.replicaof(*_NOBODY)
        try:
            yield "REPLICAOF nobody"
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def out_of_memory(bench: Bench) -> Iterator[str]:
    """Redis refuses what needs memory."""
    with _client(bench.cluster.redis) as client:
        client.config_set("maxmemory", 1)
        try:
            yield "maxmemory 1"
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def failover(bench: Bench) -> Iterator[str]:
    """Redis dies, and its replica takes over at the same address."""
    old = bench.cluster.redis
    new = RedisServer(Path(f"{old.data_dir}-{bench.rng.randrange(10**6)}"), die_with_parent=True)
    new.data_dir.mkdir(parents=True)
    shutil.copy2(old.data_dir / "password", new.data_dir / "password")
    new.start()
    with _client(new) as client:
        client.config_set("masterauth", old.password)
        client.replicaof("127.0.0.1", str(old.port))
        _await_copy(client)
        old.kill()
        client.replicaof("NO", "ONE")
    bench.cluster.adopt_redis(new)
    yield f"port {old.port} -> {new.port}"


def _await_copy(client: redis.Redis) -> None:
    for _ in range(_LOOKS):
        if dict(client.info("replication")).get("master_link_status") == "up":
            return
        time.sleep(_LOOK_S)
    raise LabFailed(f"the new Redis has no copy of the old one after {_LOOKS * _LOOK_S:g} s")


def _client(server: RedisServer) -> Any:
    return redis.Redis.from_url(server.url)
