"""The broker loses bells: all of them, some of them, some on their way. Every job runs, none twice side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import redis

from perdure import JobHandle
from perdure.broker.queues import MOST, queue_name
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.embedded.redis import redis_url as redis_url_to
from support.cluster import PATIENCE, Cluster
from support.cutter import Cutter

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]


def assert_each_ran_once(cluster: Cluster, jobs: list[JobHandle[int]]) -> None:
    assert [job.wait(PATIENCE) for job in jobs] == [1] * len(jobs)
    assert all(cluster.whats(job) == ["start", "end"] for job in jobs)


def forget_everything(server: RedisServer) -> None:
    for path in server.data_dir.glob("appendonly*"):  # a file up to Redis 6, a folder from 7 on
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_flushed_broker(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url)
    cluster.worker("w1")
    blockers = [cluster.submit("hold", "gate") for _ in range(2)]
    for job in blockers:
        cluster.await_effect(job, "start")
    jobs = cluster.app.task("quick").submit_many([()] * 300)

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    cluster.open("gate")

    assert_each_ran_once(cluster, [*blockers, *jobs])


def test_bells_that_were_taken_and_never_heard(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url)
    jobs = cluster.app.task("quick").submit_many([()] * 30)
    with redis.Redis.from_url(redis_url) as client:
        assert client.rpop(queue_name("normal"), MOST)

    cluster.worker("w1")

    assert_each_ran_once(cluster, jobs)


def test_broker_killed_and_empty_when_it_is_back(
    make_cluster: MakeCluster, sqlite_url: str, own_redis: RedisServer
) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url)
    cluster.worker("w1")
    running = cluster.submit("hold", "gate")
    cluster.await_effect(running, "start")
    before = cluster.app.task("nap").submit_many([(0.01,)] * 50)

    own_redis.kill()
    forget_everything(own_redis)
    meanwhile = [cluster.submit("quick") for _ in range(3)]
    cluster.open("gate")
    assert_each_ran_once(cluster, [running, *before, *meanwhile])  # neither what runs nor what waits needs a broker
    own_redis.start()

    assert_each_ran_once(cluster, [cluster.submit("quick")])


def test_connection_dropped_in_the_middle_of_a_bell(
    make_cluster: MakeCluster, sqlite_url: str, redis_server: RedisServer, redis_url: str
) -> None:
    cutter = Cutter(redis_server.port)
    try:
        cluster = make_cluster(sqlite_url, redis_url_to(cutter.port, redis_server.password))
        first = cluster.submit("quick")  # connects
        cutter.bytes_left = 300
        jobs = cluster.app.task("quick").submit_many([()] * 100)
        assert cutter.cuts > 0
        cutter.bytes_left = None

        cluster.worker("w1")

        assert_each_ran_once(cluster, [first, *jobs])
    finally:
        cluster.close()
        cutter.close()
