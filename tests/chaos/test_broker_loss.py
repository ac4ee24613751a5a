"""The broker loses tickets: all of them, one of them, some on their way. Every job runs, none twice side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import redis

from perdure import JobHandle
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.embedded.redis import redis_url as redis_url_to
from support.cluster import PATIENCE, Cluster
from support.cutter import Cutter
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]


def assert_each_ran_once(cluster: Cluster, jobs: list[JobHandle[int]]) -> None:
    assert [job.wait(PATIENCE) for job in jobs] == [1] * len(jobs)
    assert all(cluster.whats(job) == ["start", "end"] for job in jobs)


def forget_everything(server: RedisServer) -> None:
    for path in server.data_dir.glob("appendonly*"):  # a file up to Redis 6, a folder from 7 on
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_flushed_broker(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, ticket_grace="0.5")
    cluster.worker("w1")
    blockers = [cluster.submit("hold", "gate") for _ in range(2)]
    for job in blockers:
        cluster.await_effect(job, "start")
    jobs = cluster.app.task("quick").submit_many([()] * 300)

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    cluster.open("gate")

    assert_each_ran_once(cluster, [*blockers, *jobs])


def test_ticket_that_was_popped_and_never_delivered(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, ticket_grace="0.5")
    jobs = cluster.app.task("quick").submit_many([()] * 30)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(5):
            assert client.rpop("perdure.normal\x06\x165")  # where kombu's consumer takes from

    cluster.worker("w1")

    assert_each_ran_once(cluster, jobs)


def test_broker_killed_and_empty_when_it_is_back(
    make_cluster: MakeCluster, sqlite_url: str, own_redis: RedisServer
) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url, ticket_grace="0.5")
    cluster.worker("w1")
    running = cluster.submit("hold", "gate")
    cluster.await_effect(running, "start")
    before = cluster.app.task("nap").submit_many([(0.01,)] * 50)

    own_redis.kill()
    forget_everything(own_redis)
    meanwhile = [cluster.submit("quick") for _ in range(3)]
    assert [job.ticketed for job in meanwhile] == [False] * 3
    cluster.open("gate")
    assert running.wait(PATIENCE) == 1  # what runs needs no broker
    own_redis.start()

    assert_each_ran_once(cluster, [running, *before, *meanwhile])


def test_connection_dropped_in_the_middle_of_a_publish(
    make_cluster: MakeCluster, sqlite_url: str, redis_server: RedisServer, redis_url: str
) -> None:
    cutter = Cutter(redis_server.port)
    try:
        cluster = make_cluster(sqlite_url, redis_url_to(cutter.port, redis_server.password), ticket_grace="0.5")
        first = cluster.submit("quick")  # connects
        cutter.bytes_left = 30_000
        jobs = cluster.app.task("quick").submit_many([()] * 100)
        assert cutter.cuts == 1
        cutter.bytes_left = None

        cluster.worker("w1")

        assert_each_ran_once(cluster, [first, *jobs])
    finally:
        cluster.close()
        cutter.close()


def test_lost_tickets_are_not_sent_again_while_the_queue_moves(
    make_cluster: MakeCluster, sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url, ticket_grace="1")  # less than the queue lasts, more than a prefetch
    worker = cluster.worker("w1")
    jobs = cluster.app.task("nap").submit_many([(0.02,)] * 300)

    wait_until(lambda: cluster.app.jobs.count().get("succeeded", 0) == 300, PATIENCE)

    assert_each_ran_once(cluster, jobs)
    assert "dropped: its job is not queued" not in worker.logged()
