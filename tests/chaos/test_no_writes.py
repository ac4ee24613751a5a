"""A ledger or a Redis that answers and cannot be written: for a while longer than a lease, and then again."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from perdure.broker.queues import queue_name
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from support.cluster import PATIENCE, PERDURE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]

#: Bytes of a file that a process may write while the disk is "full": room for logs, and none for a ledger's journal.
ROOM = 64 * 1024
#: Seconds.
HEARTBEAT, LEASE = "0.2", 1.0


def limit_files(cluster: Cluster, longest: int) -> None:
    """Bound the files of all processes of a platform: SQLite takes that for a full disk."""
    for running in cluster.running:
        main = psutil.Process(running.pid)
        for process in [main, *main.children(recursive=True)]:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))


@contextmanager
def full_disk(cluster: Cluster) -> Iterator[None]:
    limit_files(cluster, ROOM)
    try:
        yield
    finally:
        limit_files(cluster, resource.RLIM_INFINITY)


def read_only(url: str) -> Callable[[Cluster], AbstractContextManager[None]]:
    """Return what makes a PostgreSQL take no writes, as a standby does, while all connections stay."""
    plain = url.replace("+psycopg", "")

    def set_to(value: str) -> None:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            connection.execute("SELECT pg_reload_conf()")

    @contextmanager
    def without_writes(_cluster: Cluster) -> Iterator[None]:
        set_to("on")
        try:
            yield
        finally:
            set_to("off")

    return without_writes


@pytest.fixture(params=["sqlite", "postgresql"])
def refusing(
    request: pytest.FixtureRequest, make_cluster: MakeCluster, server_dir: Path, redis_url: str
) -> Iterator[tuple[Cluster, Callable[[Cluster], AbstractContextManager[None]]]]:
    """A platform, and what makes its ledger refuse writes for a while."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        yield make_cluster(url, redis_url, heartbeat_interval=HEARTBEAT), full_disk
        return
    with PostgresServer(server_dir / "read-only-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        url = server.create_database("perdure_own")
        cluster = make_cluster(url, redis_url, heartbeat_interval=HEARTBEAT)
        yield cluster, read_only(url)
        cluster.close()


def limited(cluster: Cluster, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command on the same disk."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cluster.cwd,
        # Python would keep what it compiles cut at 4096 bytes, and read that from then on.
        env={**cluster.process_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )


def test_a_ledger_that_cannot_be_written_for_longer_than_a_lease(
    refusing: tuple[Cluster, Callable[[Cluster], AbstractContextManager[None]]],
) -> None:
    cluster, without_writes = refusing
    workers = cluster.workers("w1", "w2")
    held = [cluster.submit("hold", "gate") for _ in range(4)]
    for job in held:
        cluster.await_effect(job, "start")
    waiting = cluster.app.task("quick").submit_many([()] * 50)
    before = [record.id for record in cluster.app.workers.list()]

    with without_writes(cluster):
        wait_until(lambda: min(r.heartbeat_age for r in cluster.app.workers.list()) > 2 * LEASE, PATIENCE)
        cluster.open("gate")  # what runs ends, and its outcomes are held
        for job in held:
            cluster.await_effect(job, "end")

        found = limited(cluster, PERDURE, "health", "--json", "-A", cluster.module)
        assert found.returncode == 1, found
        assert '"unhealthy"' in found.stdout
        refused = limited(cluster, sys.executable, "-c", "from chaos_app import app; app.task('quick').submit()")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith("perdure.errors.LedgerUnavailable: "), refused.stderr
        assert cluster.app.jobs.count() == {"running": 4, "queued": 50}

    for job in [*held, *waiting]:
        assert job.wait(PATIENCE) == 1, cluster.describe(job)
        assert cluster.whats(job) == ["start", "end"]
    assert [worker.process.poll() for worker in workers] == [None, None]
    wait_until(lambda: {record.state for record in cluster.app.workers.list()} == {"healthy"}, PATIENCE)
    assert [record.id for record in cluster.app.workers.list(all_states=True)] == before
    assert cluster.app.dead_letters.count() == 0


def fill(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


def make_room(client: redis.Redis) -> None:
    client.config_set("maxmemory", 0)


def follow_nobody(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def lead(client: redis.Redis) -> None:
    client.replicaof("NO", "ONE")


@pytest.mark.parametrize(("refuse", "relent"), [(fill, make_room), (follow_nobody, lead)], ids=["full", "replica"])
def test_jobs_go_on_while_redis_refuses_writes(
    make_cluster: MakeCluster,
    sqlite_url: str,
    own_redis: RedisServer,
    refuse: Callable[[redis.Redis], None],
    relent: Callable[[redis.Redis], None],
) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url)
    worker = cluster.worker("w1")
    assert cluster.submit("quick").wait(PATIENCE) == 1
    with redis.Redis.from_url(own_redis.url) as client:
        cluster.app.bells.ring("normal", 16)
        refuse(client)
        assert [cluster.submit("quick").wait(PATIENCE) for _ in range(5)] == [1] * 5
        report = cluster.app.health()
        assert report.status == "degraded"
        assert [one.name for one in report.checks if not one.healthy] == ["broker", "breaker_store"]
        assert worker.process.poll() is None, worker.logged()

        relent(client)
        assert cluster.submit("quick").wait(PATIENCE) == 1
        assert cluster.app.health().status == "healthy"
        wait_until(lambda: client.llen(queue_name("normal")) == 0, PATIENCE, message=worker.logged)  # bells are heard again
    assert worker.process.poll() is None
    assert cluster.app.dead_letters.count() == 0


#: Keys that kombu and perdure keep for a worker.
KEYS = [queue_name("normal"), "unacked", "unacked_index", "_kombu.binding.perdure.normal", "_kombu.binding.celery.pidbox"]


def test_a_key_of_another_type_deafens_nobody_for_long(
    make_cluster: MakeCluster, sqlite_url: str, own_redis: RedisServer
) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url)
    worker = cluster.worker("w1")
    with redis.Redis.from_url(own_redis.url) as client:
        for key, kind in product(KEYS, ("string", "hash")):
            client.delete(key)
            client.set(key, "x") if kind == "string" else client.hset(key, "x", "y")
            assert cluster.submit("quick").wait(PATIENCE) == 1
            cluster.app.bells.ring("normal", 16)

            def heard() -> bool:
                return client.type(queue_name("normal")) == b"none"

            wait_until(heard, PATIENCE, message=lambda key=key, kind=kind: f"{key} as a {kind}:\n{worker.logged()}")  # type: ignore[misc]
            assert cluster.submit("quick").wait(PATIENCE) == 1
    assert worker.process.poll() is None
