"""The ledger is away for a while: what runs goes on, results are held, nobody is declared dead for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure_workers.embedded.postgres import PostgresServer
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]


def states(cluster: Cluster) -> list[str]:
    return [record.state for record in cluster.app.workers.list(all_states=True)]


def test_postgresql_away_for_longer_than_a_lease(make_cluster: MakeCluster, server_dir: Path, redis_url: str) -> None:
    with PostgresServer(server_dir / "own-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        url = server.create_database("perdure_own")
        cluster = make_cluster(url, redis_url, heartbeat_interval="0.2")  # a lease of 1 s
        workers = cluster.workers("w1", "w2")
        held = [cluster.submit("hold", "gate") for _ in range(4)]
        for job in held:
            cluster.await_effect(job, "start")
        waiting = cluster.app.task("quick").submit_many([()] * 100)

        server.stop("fast")
        for worker in workers:
            wait_until(lambda log=worker.logged: "looking for work failed" in log(), PATIENCE)  # type: ignore[misc]
        cluster.open("gate")
        wait_until(lambda: all("end" in cluster.whats_of(job.id) for job in held), PATIENCE)
        server.start()

        assert [job.wait(PATIENCE) for job in [*held, *waiting]] == [1] * 104
        assert all(cluster.whats(job) == ["start", "end"] for job in [*held, *waiting])
        assert set(states(cluster)) <= {"healthy", "suspect"}
        cluster.close()


def test_postgresql_restarts_under_load(make_cluster: MakeCluster, server_dir: Path, redis_url: str) -> None:
    with PostgresServer(server_dir / "loaded-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        cluster = make_cluster(server.create_database("perdure_loaded"), redis_url)
        cluster.worker("w1")
        jobs = cluster.app.task("nap").submit_many([(0.01,)] * 150)
        for done in (20, 80):
            wait_until(lambda done=done: cluster.app.jobs.count().get("succeeded", 0) >= done, PATIENCE)  # type: ignore[misc]
            server.restart()

        assert [job.wait(PATIENCE) for job in jobs] == [1] * 150
        assert all(cluster.whats(job) == ["start", "end"] for job in jobs)
        assert states(cluster) == ["healthy"]
        cluster.close()


def test_locked_sqlite(make_cluster: MakeCluster, sqlite_url: str, redis_url: str) -> None:
    cluster = make_cluster(sqlite_url, redis_url, heartbeat_interval="0.2")
    worker = cluster.worker("w1")
    held = cluster.submit("hold", "gate")
    cluster.await_effect(held, "start")
    jobs = cluster.app.task("quick").submit_many([()] * 20)

    lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    cluster.open("gate")
    cluster.await_effect(held, "end")
    lock.execute("ROLLBACK")
    lock.close()

    assert [job.wait(PATIENCE) for job in [held, *jobs]] == [1] * 21
    assert worker.process.poll() is None
    assert set(states(cluster)) <= {"healthy", "suspect"}
