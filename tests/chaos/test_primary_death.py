"""The primary of a highly available set dies in the middle of 2,000 jobs, and another server takes its place.

Nothing is lost, no job's effect happens twice, and nobody does anything to the platform. ``-s`` shows the figures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from perdure import JobHandle
from perdure.broker.queues import queue_name
from perdure.resilience.redis.address import connect
from perdure_workers.embedded.redis import find_redis_server
from support import rabbits
from support.cluster import Cluster
from support.sentinels import sentinels
from support.standby import streaming_pair
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]

JOBS = 2000
#: Seconds for the whole of it on a busy machine.
LONG = 60.0


def begin(cluster: Cluster) -> list[JobHandle[int]]:
    """Submit the jobs and return when a part of them has run."""
    jobs = cluster.app.task("quick").submit_many([()] * JOBS)
    wait_until(lambda: succeeded(cluster) >= JOBS // 10, LONG, message=lambda: cluster.describe(jobs[0]))
    return jobs


def succeeded(cluster: Cluster) -> int:
    return cluster.app.jobs.count().get("succeeded", 0)


def assert_all_ran_once(cluster: Cluster, jobs: list[JobHandle[int]]) -> None:
    wait_until(
        lambda: succeeded(cluster) == len(jobs),
        LONG,
        interval=0.1,
        message=lambda: f"{cluster.app.jobs.count()} {cluster.describe(jobs[-1])}",
    )
    assert Counter(tuple(cluster.whats(job)) for job in jobs) == {("start", "end"): len(jobs)}
    assert Counter(map(tuple, cluster.all_outcomes().values())) == {("succeeded",): len(jobs)}


def longest_pause(cluster: Cluster, jobs: list[JobHandle[int]], since: float) -> float:
    """Return the longest time in seconds in which no job began, from a moment on."""
    starts = sorted(effect.at for job in jobs for effect in cluster.effects(job) if effect.what == "start")
    later = [at for at in starts if at > since]
    assert later, "all had run before the primary died"
    return max(after - before for before, after in pairwise([since, *later]))


def test_redis_primary_that_sentinels_watch(make_cluster: MakeCluster, sqlite_url: str, tmp_path: Path) -> None:
    with sentinels(find_redis_server(), tmp_path) as redis_set, connect(redis_set.url) as client:
        cluster = make_cluster(sqlite_url, redis_set.url)
        worker = cluster.worker("w1")
        jobs = begin(cluster)

        killed_at = time.monotonic()
        redis_set.kill_primary()
        meanwhile = [cluster.submit("quick") for _ in range(10)]
        wait_until(lambda: redis_set.has_switched, LONG)
        switched_at = time.monotonic()
        wait_until(lambda: cluster.app.bells.ring("normal"), LONG)
        wait_until(lambda: client.llen(queue_name("normal")) == 0, LONG, message=worker.logged)  # the worker hears it
        heard_at = time.monotonic()

        assert_all_ran_once(cluster, [*jobs, *meanwhile])
        assert "EMERGENCY DUMP" not in worker.logged()
        print(
            f"Redis: Sentinels have switched after {switched_at - killed_at:.1f} s, bells are heard after "
            f"{heard_at - killed_at:.1f} s, no job began for {longest_pause(cluster, jobs, killed_at):.2f} s"
        )
        cluster.close()


@pytest.mark.timeout(240)
@pytest.mark.skipif(bool(rabbits.MISSING), reason=rabbits.MISSING)
def test_rabbitmq_node_that_leads_the_queue(
    make_cluster: MakeCluster, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    queue = queue_name("normal")
    with rabbits.rabbits(tmp_path) as rabbit:
        cluster = make_cluster(sqlite_url, rabbit.url, redis_url=redis_url)
        worker = cluster.worker("w1")
        jobs = begin(cluster)

        killed_at = time.monotonic()
        rabbit.kill("rabbit1")  # the first of the URL: the worker is connected to it, and so its queue is led there
        meanwhile = [cluster.submit("quick") for _ in range(10)]
        wait_until(lambda: cluster.app.bells.ring("normal"), LONG)
        rung_at = time.monotonic()
        wait_until(lambda: worker.logged().count("Connected to amqp://") > 1, LONG, message=worker.logged)
        wait_until(lambda: cluster.app.bells.ring("normal"), LONG)
        wait_until(lambda: rabbit.waiting("rabbit2", queue) == 0, LONG, message=worker.logged)  # the worker hears it
        heard_at = time.monotonic()

        assert_all_ran_once(cluster, [*jobs, *meanwhile])
        assert " CRITICAL " not in worker.logged()
        print(
            f"RabbitMQ: another node takes bells after {rung_at - killed_at:.1f} s, they are heard after "
            f"{heard_at - killed_at:.1f} s, no job began for {longest_pause(cluster, jobs, killed_at):.2f} s"
        )
        cluster.close()


def test_postgresql_primary_with_a_standby(make_cluster: MakeCluster, server_dir: Path, redis_url: str) -> None:
    with streaming_pair(server_dir) as pair:
        cluster = make_cluster(pair.url, redis_url)
        cluster.worker("w1")
        cluster.supervisor()  # beside the worker's own
        jobs = begin(cluster)

        killed_at = time.monotonic()
        pair.kill_primary()
        pair.promote()
        promoted_at = time.monotonic()

        assert_all_ran_once(cluster, jobs)
        assert [record.state for record in cluster.app.workers.list(all_states=True)] == ["healthy"]
        print(
            f"PostgreSQL: promoted after {promoted_at - killed_at:.1f} s, no job began for "
            f"{longest_pause(cluster, jobs, killed_at):.2f} s"
        )
        cluster.close()


def test_a_server_that_ends_what_idles(make_cluster: MakeCluster, postgres_url: str, redis_url: str) -> None:
    """Timeouts below a heartbeat: connections in the pool, and the one that a worker beats on, end again and again."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        for name in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET {name} = 200')
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET statement_timeout = 2000')
    cluster = make_cluster(postgres_url, redis_url, heartbeat_interval="0.5")
    worker = cluster.worker("w1")
    four_beats = cluster.app.workers.list()[0].heartbeat_at + timedelta(seconds=2)  # type: ignore[operator]
    wait_until(lambda: cluster.app.workers.list()[0].heartbeat_at > four_beats, LONG)  # type: ignore[operator]

    jobs = cluster.app.task("quick").submit_many([()] * 200)
    assert_all_ran_once(cluster, jobs)
    assert [record.state for record in cluster.app.workers.list(all_states=True)] == ["healthy"]
    assert "suspect" not in worker.logged()
