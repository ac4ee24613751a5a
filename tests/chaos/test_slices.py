"""Slices of short jobs in real workers: what goes wrong with one job is that job's own, and none is held up by another."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import JobCancelled, JobDead, JobHandle
from perdure_workers.embedded.postgres import PostgresServer
from support.cluster import PATIENCE, Cluster, overlaps
from support.thorough import part_of
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

MakeCluster = Callable[..., Cluster]
#: Short jobs before and behind each bad one: enough for slices of many jobs.
AROUND = 60
#: Bad jobs of a test, since the first slices of a child are small.
BAD = 3
#: How often a whole worker is killed.
KILLS = int(os.environ.get("TEST_KILLS", part_of(12)))


@pytest.fixture
def cluster(make_sliced: MakeCluster, ledger_url: str, redis_url: str) -> Cluster:
    return make_sliced(ledger_url, redis_url, cancel_grace="0.3")


def among_others(cluster: Cluster, task: str, *args: Any) -> tuple[list[JobHandle[Any]], list[JobHandle[Any]]]:
    """Submit bad jobs, each between many short ones; return the bad ones and the short ones."""
    bad, good = [], cluster.app.task("quick").submit_many([()] * AROUND)
    for _ in range(BAD):
        bad.append(cluster.submit(task, *args))
        good += cluster.app.task("quick").submit_many([()] * AROUND)
    return bad, good


def await_ends(cluster: Cluster, jobs: list[JobHandle[Any]], timeout: float = 2 * PATIENCE) -> None:
    """Wait until all jobs have ended."""

    def going() -> list[JobHandle[Any]]:
        rows = cluster.rows()
        return [job for job in jobs if rows[job.id].finished_at is None]

    wait_until(lambda: not going(), timeout, 0.3, lambda: f"{cluster.app.jobs.count()} {cluster.describe(going()[-1])}")


def assert_unharmed(cluster: Cluster, jobs: list[JobHandle[Any]], *, runs: int = 1) -> None:
    """Assert that jobs have succeeded at their first attempt, and that none of them ran more often than that."""
    await_ends(cluster, jobs)
    rows, outcomes = cluster.rows(), cluster.all_outcomes()
    for job in jobs:
        row = rows[job.id]
        assert (row.state, row.attempt, row.crashes) == ("succeeded", 1, 0), cluster.describe(job)
        assert outcomes[job.id] == ["succeeded"], cluster.describe(job)
        assert 1 <= cluster.whats(job).count("end") <= runs, cluster.describe(job)


def reason_of(cluster: Cluster, job: JobHandle[Any]) -> str:
    with pytest.raises(JobDead) as dead:
        job.wait(PATIENCE)
    return cluster.app.dead_letters.get(str(dead.value.dead_letter_id)).reason


def were_given_back(cluster: Cluster, jobs: list[JobHandle[Any]]) -> bool:
    """Whether some of the jobs had been claimed before: their slice was broken off."""
    rows = cluster.rows()
    return any(cluster.effects(job)[-1].fence > rows[job.id].attempt for job in jobs)


def test_a_job_that_kills_its_child_takes_no_other_of_its_slice_with_it(cluster: Cluster) -> None:
    bad, good = among_others(cluster, "die", "kill", 1)
    cluster.worker("w1")

    # A job that had ended less than 20 ms before, and was not settled yet, runs again.
    assert_unharmed(cluster, good, runs=1 + BAD)
    for job in bad:
        assert job.wait(PATIENCE) == 2
        assert cluster.outcomes(job) == ["crashed", "succeeded"]
    assert were_given_back(cluster, good)


def test_a_job_that_hangs_is_ended_by_force_and_pays_alone(cluster: Cluster) -> None:
    bad, good = among_others(cluster, "stubborn")
    cluster.worker("w1")

    assert_unharmed(cluster, good)
    assert [reason_of(cluster, job) for job in bad] == ["timeout"] * BAD
    assert [cluster.outcomes(job) for job in bad] == [["timeout"]] * BAD
    assert were_given_back(cluster, good)


def test_a_job_that_overruns_its_soft_limit_pays_alone(cluster: Cluster) -> None:
    bad, good = among_others(cluster, "brief sleeper")
    cluster.worker("w1")

    assert_unharmed(cluster, good)
    assert [reason_of(cluster, job) for job in bad] == ["timeout"] * BAD
    assert were_given_back(cluster, good)


@pytest.mark.parametrize("task", ["polite", "deaf"])
def test_a_job_that_is_cancelled_is_cancelled_alone(cluster: Cluster, task: str) -> None:
    bad, good = among_others(cluster, task)
    cluster.worker("w1", concurrency=BAD + 1)
    for job in bad:
        cluster.await_effect(job, "start")
        assert job.cancel()

    assert_unharmed(cluster, good)
    for job in bad:
        with pytest.raises(JobCancelled):
            job.wait(PATIENCE)
        assert cluster.outcomes(job) == ["cancelled"]


def test_short_jobs_do_not_wait_for_a_long_one_before_them_in_their_slice(cluster: Cluster) -> None:
    long, short = among_others(cluster, "hold", "gate")
    cluster.worker("w1", concurrency=BAD + 1)

    assert_unharmed(cluster, short)
    wait_until(lambda: all(job.state == "running" for job in long), PATIENCE)
    cluster.open("gate")
    assert [job.wait(PATIENCE) for job in long] == [1] * BAD


def test_a_slice_whose_worker_loses_its_lease_is_run_by_another(
    make_sliced: MakeCluster, ledger_url: str, redis_url: str
) -> None:
    cluster = make_sliced(ledger_url, redis_url, heartbeat_interval="0.4")
    good = cluster.app.task("quick").submit_many([()] * AROUND)
    bad = cluster.submit("freeze the worker")
    good += cluster.app.task("quick").submit_many([()] * AROUND)
    zombie = cluster.start("worker", "normal", "-c", "1", "-n", "w1", name="w1")  # may freeze before it says "ready"
    cluster.await_effect(bad, "start")
    cluster.worker("w2", concurrency=1)

    assert bad.wait(2 * PATIENCE) >= 1
    await_ends(cluster, good)
    attempts = {job.id: job.attempts() for job in [*good, bad]}
    zombie.continue_whole()

    assert zombie.exit_code() == 70
    assert attempts == {job.id: job.attempts() for job in [*good, bad]}  # a zombie writes nothing
    # Nobody knows which one it ran: the first of its slice counts the crash.
    assert sum(job.refresh().record.crashes for job in [*good, bad]) == 1
    assert all(cluster.outcomes(job)[-1:] == ["succeeded"] for job in good)


def test_short_jobs_do_not_wait_for_a_child_that_is_frozen(cluster: Cluster) -> None:
    bad, good = among_others(cluster, "freeze the child")
    worker = cluster.worker("w1", concurrency=BAD + 1)

    wait_until(lambda: all("end" in cluster.whats(job) for job in good), PATIENCE)
    frozen = [cluster.await_effect(job, "start").pid for job in bad]
    assert set(frozen) <= set(worker.children())
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)

    assert [job.wait(PATIENCE) for job in bad] == [1] * BAD
    assert_unharmed(cluster, good)


def test_a_child_that_dies_between_a_job_s_end_and_its_settlement(cluster: Cluster) -> None:
    bad, good = among_others(cluster, "die after its end")
    cluster.worker("w1")

    for job in bad:
        assert job.wait(2 * PATIENCE) <= 2
        assert 1 <= len(cluster.effects(job)) <= 3  # at least once
        assert cluster.outcomes(job).count("succeeded") == 1
    await_ends(cluster, good)
    rows = cluster.rows()
    assert all(rows[job.id].state == "succeeded" for job in good)
    assert sum(rows[job.id].crashes for job in [*bad, *good]) <= BAD


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_poison_pill_among_a_thousand_good_jobs_is_buried_alone(cluster: Cluster) -> None:
    good = cluster.app.task("quick").submit_many([()] * 500)
    pill = cluster.submit("die", "kill", 99)
    good += cluster.app.task("quick").submit_many([()] * 500)
    cluster.worker("w1")

    assert reason_of(cluster, pill) == "crashed"
    assert cluster.outcomes(pill) == ["crashed"] * cluster.app.settings.max_crashes
    assert_unharmed(cluster, good, runs=2)
    assert cluster.app.dead_letters.count() == 1


@pytest.mark.both_ledgers
def test_whole_workers_killed_in_the_middle_of_slices(cluster: Cluster) -> None:
    rng = random.Random(7)
    started, jobs = cluster.workers("k0", "k1"), []
    for number in range(KILLS):
        done = cluster.app.jobs.count().get("succeeded", 0)
        jobs += cluster.app.task("quick").submit_many([()] * 300) + cluster.app.task("nap").submit_many([(0.005,)] * 300)
        wait_until(lambda done=done: cluster.app.jobs.count().get("succeeded", 0) > done + 50, PATIENCE)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.05))  # anywhere within a slice
        started.pop(rng.randrange(2)).kill()
        started.append(cluster.worker(f"k{number + 2}"))

    await_ends(cluster, jobs, 4 * PATIENCE)
    rows, outcomes = cluster.rows(), cluster.all_outcomes()
    for job in jobs:
        assert outcomes[job.id].count("succeeded") == 1
        assert set(outcomes[job.id]) <= {"succeeded", "crashed"}
        assert overlaps(cluster.effects(job)) == []
    assert sum(rows[job.id].crashes for job in jobs) <= 2 * KILLS  # one for each child at most


def test_drain_in_the_middle_of_a_slice(cluster: Cluster) -> None:
    worker = cluster.worker("w1")
    jobs = cluster.app.task("nap").submit_many([(0.002,)] * 1_500)
    wait_until(lambda: cluster.app.jobs.count().get("succeeded", 0) > 50, PATIENCE)

    worker.signal(signal.SIGTERM)

    assert worker.exit_code() == 0
    counts = cluster.app.jobs.count()
    assert set(counts) == {"succeeded", "queued"}
    rows, outcomes = cluster.rows(), cluster.all_outcomes()
    waiting = [job for job in jobs if rows[job.id].state == "queued"]
    assert all((rows[job.id].attempt, rows[job.id].crashes, outcomes.get(job.id)) == (0, 0, None) for job in waiting)
    assert all(cluster.effects(job) == [] for job in waiting)
    cluster.worker("w2")
    assert_unharmed(cluster, jobs)


def test_locked_sqlite_in_the_middle_of_slices(make_sliced: MakeCluster, sqlite_url: str, redis_url: str) -> None:
    cluster = make_sliced(sqlite_url, redis_url)
    cluster.worker("w1")
    jobs = cluster.app.task("quick").submit_many([()] * 1_500)
    for done in (100, 700):
        wait_until(lambda done=done: cluster.app.jobs.count().get("succeeded", 0) > done, PATIENCE)  # type: ignore[misc]
        lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, timeout=PATIENCE)
        lock.execute("BEGIN EXCLUSIVE")
        time.sleep(1.0)  # how long it is away
        lock.execute("ROLLBACK")
        lock.close()

    assert_unharmed(cluster, jobs)


def test_postgresql_restarts_in_the_middle_of_slices(make_sliced: MakeCluster, server_dir: Path, redis_url: str) -> None:
    with PostgresServer(server_dir / "sliced-postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        cluster = make_sliced(server.create_database("perdure_sliced"), redis_url)
        cluster.worker("w1")
        jobs = cluster.app.task("quick").submit_many([()] * 2_000)
        for done in (100, 1_000):
            wait_until(lambda done=done: cluster.app.jobs.count().get("succeeded", 0) > done, PATIENCE)  # type: ignore[misc]
            server.restart()

        assert_unharmed(cluster, jobs)
        cluster.close()
