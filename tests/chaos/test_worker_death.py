"""A whole worker dies: what it ran and what it had prefetched goes on elsewhere, and a zombie writes nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from perdure import JobHandle
from support.cluster import PATIENCE, Cluster, Running, overlaps
from support.processes import alive
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.both_ledgers]


MakeCluster = Callable[..., Cluster]
#: A lease of 2 s in place of 5.
FAST = {"heartbeat_interval": "0.4"}


def start_two(cluster: Cluster) -> tuple[Running, JobHandle[Any]]:
    """Start two workers and a job that waits behind its first checkpoint; return the worker that has it, and the job."""
    workers = cluster.workers("w1", "w2", concurrency=1)
    job = cluster.submit("steps", "gate", 1, 3)
    cluster.await_effect(job, "step:0")
    wait_until(lambda: job.refresh().record.checkpoint_seq == 1, PATIENCE)
    name = str(job.record.worker).split("@")[0]
    return next(worker for worker in workers if worker.name == name), job


def test_running_and_prefetched_jobs_go_on_elsewhere(cluster: Cluster) -> None:
    first = cluster.worker("w1", concurrency=1)
    jobs = [cluster.submit("hold", "gate") for _ in range(3)]  # one runs, one is prefetched, one is queued
    cluster.await_effect(jobs[0], "start")
    cluster.worker("w2", concurrency=3)
    wait_until(lambda: cluster.app.jobs.count().get("running", 0) >= 2, PATIENCE)
    children = first.children()

    first.kill()
    wait_until(lambda: not any(alive(pid) for pid in children), PATIENCE)
    cluster.await_effect(jobs[0], "start", count=2)
    cluster.open("gate")

    assert [job.wait(PATIENCE) for job in jobs] == [2, 1, 1]
    assert cluster.outcomes(jobs[0]) == ["crashed", "succeeded"]
    assert cluster.app.workers.list(all_states=True)[0].state == "failed"


def test_closed_connection_tells_where_no_lock_can_be_seen(
    make_cluster: MakeCluster, postgres_url: str, redis_url: str
) -> None:
    cluster = make_cluster(postgres_url, redis_url)
    dying, job = start_two(cluster)
    for lock in cluster.folder.rglob("*.lock"):
        lock.unlink()  # as for a worker on another host

    dying.kill()
    cluster.await_effect(job, "start:1")
    cluster.open("gate")

    assert job.wait(PATIENCE) == [1, 2]
    [failure] = [event for event in cluster.app.workers.events() if event.is_failure]
    assert "its connection is closed" in failure.reason, failure
    assert failure.source == "healthy"  # heartbeats alone would have made it suspect first


def test_zombie_writes_nothing_and_ends(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, **FAST)
    zombie, job = start_two(cluster)

    zombie.stop_whole()
    cluster.await_effect(job, "start:1")
    cluster.open("gate")
    assert job.wait(PATIENCE) == [1, 2]
    written = cluster.app.ledger.running.load_checkpoint(job.id, "main")
    zombie.continue_whole()

    assert zombie.exit_code() == 70
    assert cluster.outcomes(job) == ["crashed", "succeeded"]
    assert job.refresh().record.state == "succeeded"
    assert cluster.app.ledger.running.load_checkpoint(job.id, "main") == written


def test_child_of_a_frozen_main_process_writes_nothing(make_cluster: MakeCluster, sqlite_url: str, redis_url: str) -> None:
    cluster = make_cluster(sqlite_url, redis_url, **FAST)
    frozen, job = start_two(cluster)

    frozen.signal(signal.SIGSTOP)  # its child runs on and meets the fence
    cluster.await_effect(job, "start:1")
    cluster.open("gate")

    assert job.wait(PATIENCE) == [1, 2]
    assert [version.fence for version in cluster.app.ledger.running.load_checkpoint(job.id, "main")] == [2, 2]
    assert cluster.outcomes(job) == ["crashed", "succeeded"]


def test_rolling_restart_loses_and_repeats_nothing(cluster: Cluster) -> None:
    old = cluster.workers("old0", "old1")
    jobs = [cluster.submit("nap", 0.02) for _ in range(300)]
    long = cluster.submit("march", 40, 0.05)
    cluster.await_effect(long, "saved")

    cluster.workers("new0", "new1")
    for worker in old:
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0

    assert [job.wait(PATIENCE) for job in jobs] == [1] * 300
    assert all(cluster.whats(job) == ["start", "end"] for job in jobs)
    assert long.wait(PATIENCE)[1] == 1  # handed back, no attempt burned
    assert set(cluster.outcomes(long)) <= {"handed_back", "succeeded"}
    assert overlaps(cluster.effects(long)) == []
