"""Cluster-wide limits, in real workers: strict, fair between keys, and freed when a holder is killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from perdure.model.records import JobRecord
from support.cluster import PATIENCE, Cluster, Effect
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], ledger_url: str, redis_url: str) -> Cluster:
    return make_guarded(ledger_url, redis_url)


def most_at_once(effects: list[Effect]) -> int:
    """The most attempts that ran side by side; what ended before another began is no overlap."""
    running = most = 0
    for effect in sorted(effects, key=lambda e: e.at):
        running += 1 if effect.what.startswith("start") else -1
        most = max(most, running)
    return most


@pytest.mark.both_ledgers
def test_a_limit_holds_across_workers_and_waiting_jobs_stay_in_the_ledger(cluster: Cluster) -> None:
    cluster.workers("w1", "w2")
    jobs = [cluster.submit("narrow", "gate") for _ in range(8)]
    quick = cluster.submit("paced")

    wait_until(lambda: len(cluster.effects_of("narrow")) == 2, PATIENCE)
    assert quick.wait(PATIENCE) == 1  # four children, and the limited jobs take two

    def waiting_jobs() -> list[JobRecord]:
        return [record for job in jobs if (record := job.refresh().record).state != "running"]

    # Two dispatchers side by side may let one out too many: it meets a full limit and is put off.
    wait_until(lambda: len(waiting_jobs()) == 6, PATIENCE)
    waiting = [record for record in waiting_jobs() if record.state == "queued"]
    assert len(cluster.effects_of("narrow")) == 2
    assert all(record.attempt == 0 for record in waiting)
    assert "task_limit" in [reason.code for record in waiting for reason in cluster.app.jobs.why(record.id)]
    cluster.open("gate")

    assert [job.wait(PATIENCE) for job in jobs] == [1] * 8
    assert most_at_once(cluster.effects_of("narrow")) == 2


@pytest.mark.parametrize("whom", ["child", "worker"])
def test_permits_of_a_killed_holder_are_free_again(cluster: Cluster, whom: str) -> None:
    first, _ = cluster.workers("w1", "w2")
    jobs = [cluster.submit("narrow", "gate") for _ in range(4)]
    wait_until(lambda: len(cluster.effects_of("narrow")) == 2, PATIENCE)

    if whom == "worker":
        first.kill()
    else:
        os.kill(cluster.effects_of("narrow")[0].pid, signal.SIGKILL)
    cluster.open("gate")

    for job in jobs:
        job.wait(PATIENCE)
    ended = [effect for effect in cluster.effects_of("narrow") if effect.what == "end"]
    assert len(ended) == 4
    permits = cluster.app.limits.permits_of_task("narrow").snapshot("")
    wait_until(lambda: cluster.app.limits.permits_of_task("narrow").snapshot("").held == 0, PATIENCE, message=str(permits))


def test_keys_have_limits_of_their_own_and_a_flood_of_one_does_not_hold_up_another(cluster: Cluster) -> None:
    flood = [cluster.submit("tenant", "big") for _ in range(20)]
    small = [cluster.submit("tenant", "small") for _ in range(3)]
    cluster.worker("b1", "background", concurrency=4)

    for job in [*small, *flood]:
        job.wait(PATIENCE)

    effects = cluster.effects_of("tenant")
    for key in ("big", "small"):
        assert most_at_once([effect for effect in effects if effect.what.endswith(f":{key}")]) == 1
    before_small_ended = effects[: max(place for place, e in enumerate(effects) if e.what == "end:small")]
    assert Counter(e.what for e in before_small_ended)["start:big"] <= 10


def test_a_rate_holds_across_workers_and_burns_nothing(cluster: Cluster) -> None:
    cluster.workers("w1", "w2")
    jobs = [cluster.submit("paced") for _ in range(12)]

    assert [job.wait(PATIENCE) for job in jobs] == [1] * 12

    starts = sorted(effect.at for effect in cluster.effects_of("paced"))
    # Five at once from a full bucket, then five a second: seven more take at least 1.4 s, less what a job waits in line.
    assert starts[-1] - starts[0] > 0.9
