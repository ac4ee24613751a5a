"""A flood in one bulkhead does not reach another: its jobs take none of the other's processes and none of its turns."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

FLOOD = int(os.environ.get("PERDURE_TEST_FLOOD", "5000"))
CRITICAL = 20


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster], sqlite_url: str, redis_url: str) -> Cluster:
    """On SQLite, where all share one writer: the harder case."""
    return make_cluster(sqlite_url, redis_url)


def test_five_thousand_slow_background_jobs_leave_critical_ones_alone(cluster: Cluster) -> None:
    background = cluster.worker("b1", "background", concurrency=3)
    critical = cluster.worker("c1", "critical", concurrency=2)
    hold = cluster.app.task("hold").options(bulkhead="background")
    slow = hold.submit_many([("gate",)] * FLOOD)
    wait_until(lambda: cluster.app.jobs.count(by="state").get("running") == 3, PATIENCE)
    assert len(slow) == FLOOD

    jobs = []
    for _ in range(CRITICAL):
        # One after another: each has the whole flood before it, and gets its turn at once.
        jobs.append(cluster.submit("quick", bulkhead="critical"))
        assert jobs[-1].wait(PATIENCE) == 1

    assert cluster.app.jobs.count(by="state") == {"succeeded": CRITICAL, "running": 3, "queued": FLOOD - 3}
    pids = {job.record.worker_pid for job in cluster.app.jobs.list(state="running")}
    assert pids <= set(background.children())
    assert {effect.pid for job in jobs for effect in cluster.effects(job)} <= set(critical.children())

    burst = [cluster.submit("quick", bulkhead="critical") for _ in range(CRITICAL)]
    for job in burst:
        job.wait(PATIENCE)
    states = cluster.app.jobs.count(by="state")
    assert states == {"succeeded": 2 * CRITICAL, "running": 3, "queued": FLOOD - 3}, "none of the flood ended before"
