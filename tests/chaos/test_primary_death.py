"""The primary of a highly available set dies in the middle of 2,000 jobs, and another server takes its place.

Nothing is lost, no job's effect happens twice, and nobody has to do anything to the platform.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure import JobHandle
from perdure_workers.embedded.redis import find_redis_server
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
    jobs = cluster.app.task("nap").submit_many([(0.002,)] * JOBS)
    wait_until(lambda: cluster.app.jobs.count().get("succeeded", 0) >= JOBS // 8, LONG, message=lambda: cluster.describe(jobs[0]))
    return jobs


def assert_all_ran_once(cluster: Cluster, jobs: list[JobHandle[int]]) -> None:
    wait_until(
        lambda: cluster.app.jobs.count() == {"succeeded": len(jobs)},
        LONG,
        interval=0.2,
        message=lambda: f"{cluster.app.jobs.count()} {cluster.describe(jobs[-1])}",
    )
    assert Counter(tuple(cluster.whats(job)) for job in jobs) == {("start", "end"): len(jobs)}


def pause_after(cluster: Cluster, jobs: list[JobHandle[int]], killed_at: float) -> float:
    """Return the longest time in seconds in which no job began, from the death on."""
    starts = sorted(effect.at for job in jobs for effect in cluster.effects(job) if effect.what == "start")
    later = [killed_at, *(at for at in starts if at > killed_at)]
    return max((after - before for before, after in zip(later, later[1:], strict=False)), default=0.0)


def test_redis_primary_behind_sentinels(make_cluster: MakeCluster, sqlite_url: str, tmp_path: Path) -> None:
    with sentinels(find_redis_server(), tmp_path) as redis_set:
        cluster = make_cluster(sqlite_url, redis_set.url)
        worker = cluster.worker("w1")
        jobs = begin(cluster)

        redis_set.kill_primary()
        killed_at = time.monotonic()
        meanwhile = [cluster.submit("nap", 0.0) for _ in range(10)]
        wait_until(lambda: redis_set.has_switched, LONG)
        switched_at = time.monotonic()
        assert_all_ran_once(cluster, [*jobs, *meanwhile])
        print(f"switched {switched_at - killed_at:.2f} pause {pause_after(cluster, jobs, killed_at):.2f}")

        # The bells ring at the new primary, and the worker hears them there.
        wait_until(lambda: cluster.app.bells.ring("normal"), LONG)
        print(f"bells back after {time.monotonic() - killed_at:.2f}")
        wait_until(lambda: "Connected to sentinel" in worker.logged().split("Connection to broker lost")[-1], LONG, message=worker.logged)
        print(f"worker back after {time.monotonic() - killed_at:.2f}")
        cluster.close()


def test_postgresql_primary_with_a_standby(make_cluster: MakeCluster, server_dir: Path, redis_url: str) -> None:
    with streaming_pair(server_dir) as pair:
        cluster = make_cluster(pair.url, redis_url)
        cluster.worker("w1")
        cluster.supervisor()
        jobs = begin(cluster)

        pair.primary.kill()
        killed_at = time.monotonic()
        pair.promote()
        promoted_at = time.monotonic()
        assert_all_ran_once(cluster, jobs)
        print(f"promoted {promoted_at - killed_at:.2f} pause {pause_after(cluster, jobs, killed_at):.2f}")
        assert [record.state for record in cluster.app.workers.list(all_states=True)] == ["healthy"]
        cluster.close()
