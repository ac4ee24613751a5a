"""Stopping workers and jobs: drain, cancel, time limits, deadlines. Each ends in a clear state."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from perdure import JobCancelled, JobDead, JobHandle
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]


def unknown_to_all(cluster: Cluster, job: JobHandle[object]) -> bool:
    return "unknown_task" in [reason.code for reason in cluster.app.jobs.why(job.id)]


def dead_reason(cluster: Cluster, job: JobHandle[object]) -> str:
    with pytest.raises(JobDead) as dead:
        job.wait(PATIENCE)
    return cluster.app.dead_letters.get(str(dead.value.dead_letter_id)).reason


def test_drain_hands_back_what_does_not_end_in_time(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, drain_timeout="5")
    worker = cluster.worker("w1", concurrency=3)
    deaf, checkpointed, ending = cluster.submit("deaf"), cluster.submit("march", 400, 0.05), cluster.submit("hold", "gate")
    for job, what in ((deaf, "start"), (checkpointed, "saved"), (ending, "start")):
        cluster.await_effect(job, what)

    worker.signal(signal.SIGTERM)
    wait_until(lambda: checkpointed.state == "queued", PATIENCE)
    cluster.open("gate")

    assert worker.exit_code() == 0
    assert ending.wait(PATIENCE) == 1
    for job in (deaf, checkpointed):
        assert cluster.outcomes(job) == ["handed_back"]
        record = job.refresh().record
        assert (record.state, record.attempt, record.crashes) == ("queued", 0, 0)
    assert [record.state for record in cluster.app.workers.list(all_states=True)] == ["gone"]


@pytest.mark.parametrize("how", ["SIGHUP", "remote control"])
def test_whatever_stops_a_worker_drains_it(make_cluster: MakeCluster, sqlite_url: str, redis_url: str, how: str) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    worker = cluster.worker("w1")
    checkpointed = cluster.submit("march", 4_000, 0.05)
    cluster.await_effect(checkpointed, "saved")

    if how == "SIGHUP":
        worker.signal(signal.SIGHUP)
    else:
        [answer] = cluster.app.celery.control.broadcast("shutdown", reply=True, timeout=PATIENCE, limit=1)
        assert list(answer.values()) == [{"ok": "draining"}]

    assert worker.exit_code() == 0
    assert cluster.outcomes(checkpointed) == ["handed_back"]
    assert (checkpointed.state, checkpointed.record.attempt) == ("queued", 0)
    assert [record.state for record in cluster.app.workers.list(all_states=True)] == ["gone"]


def test_a_job_that_finds_its_node_unfit_drains_the_worker_and_runs_on_another(
    make_cluster: MakeCluster, sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    first = cluster.worker("w1")
    held = cluster.submit("hold", "gate")
    cluster.await_effect(held, "start")
    particular = cluster.submit("particular")
    wait_until(lambda: [worker.unfit for worker in cluster.app.workers.list()] == ["the disk is read-only"], PATIENCE)
    cluster.open("gate")

    assert first.exit_code() == 0
    assert held.wait(PATIENCE) == 1, "what ran there ended in peace"
    assert "the disk is read-only" in next(one.error for one in cluster.app.health().checks if one.name == "nodes")
    cluster.worker("w2")
    assert particular.wait(PATIENCE) == 2
    assert cluster.outcomes(particular) == ["crashed", "succeeded"]


def test_cancel_time_limits_and_deadlines(make_cluster: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, cancel_grace="0.5")
    cluster.worker("w1", concurrency=5)
    polite, deaf, stubborn = cluster.submit("polite"), cluster.submit("deaf"), cluster.submit("stubborn")
    per_job = cluster.submit("sleepy", timeout=0.3)
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    too_late = cluster.submit("quick", deadline=datetime.now(UTC) - timedelta(seconds=1))
    overrun = cluster.submit("nap", 50.0, deadline=soon + timedelta(seconds=3))
    for job in (polite, deaf):
        cluster.await_effect(job, "start")

    assert polite.cancel()
    assert deaf.cancel()

    for job in (polite, deaf):
        with pytest.raises(JobCancelled):
            job.wait(PATIENCE)
        assert cluster.outcomes(job) == ["cancelled"]
    assert "SIGKILL" in str(deaf.attempts()[0].error)  # it did not stop by itself
    assert dead_reason(cluster, per_job) == "timeout"
    assert dead_reason(cluster, too_late) == "expired"
    assert cluster.effects(too_late) == []
    assert dead_reason(cluster, overrun) == "expired"
    assert dead_reason(cluster, stubborn) == "timeout"
    assert cluster.outcomes(stubborn) == ["timeout"]
    assert cluster.submit("quick").wait(PATIENCE) == 1  # the worker lives


def test_job_of_a_newer_release_waits_for_a_worker_that_knows_it(
    make_cluster: MakeCluster, sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    old = cluster.start("worker", "normal", "-c", "1", "-n", "old", name="old", module="chaos_old_app")
    job = cluster.submit("quick")
    cluster.await_ready(old)
    wait_until(lambda: unknown_to_all(cluster, job), PATIENCE, message=old.logged)
    assert job.state == "queued"

    cluster.worker("new", concurrency=1)

    assert job.wait(PATIENCE) == 1
    assert cluster.outcomes(job) == ["succeeded"]


def test_job_that_no_worker_knows_dies_after_a_time(make_cluster: MakeCluster, sqlite_url: str, redis_url: str) -> None:
    cluster = make_cluster(sqlite_url, redis_url, unknown_task_ttl="0.5")
    cluster.start("worker", "normal", "-c", "1", "-n", "old", name="old", module="chaos_old_app")

    assert dead_reason(cluster, cluster.submit("quick")) == "unknown_task"
