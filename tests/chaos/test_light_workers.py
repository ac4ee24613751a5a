"""Workers do all that they usually do without SQLAlchemy, which takes 12 MB in each process that loads it."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from perdure import JobCancelled, JobDead, JobHandle
from perdure.broker.queues import queue_name
from perdure.stores.encryption.cipher import KeyRing
from perdure.system.ports import free_port
from perdure_workers.supervisor import blob_sweep, maintenance
from support.cluster import Cluster, Running
from support.receiver import Receiver, answer, receiver
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.both_ledgers]

PATIENCE = 60.0
HOUR = 3_600
LARGE = "x" * 2_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALERTING = {"dead_letter_group_new": {}, "bulkhead_unserved": {"hold": 0, "keep": 0}}
#: When things ended, and what is deleted where that is long ago.
OF_OLD = (
    "perdure_jobs.finished_at",
    "perdure_jobs.idempotency_expires_at",
    "perdure_dead_letters.created_at",
    "perdure_dead_letter_audit.at",
    "perdure_worker_events.at",
    "perdure_workers.state_changed_at",
)
PRUNED = {"succeeded", "cancelled", "dead_letters", "dead_letter_records", "workers"}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """What is told of alerts."""
    with receiver(answer(204)) as hook:
        yield hook


@pytest.fixture
def cluster(ledger_url: str, redis_url: str, tmp_path: Path, hook: Receiver, _jobs_on_path: None) -> Iterator[Cluster]:
    """A platform whose workers have everything to do that can be set."""
    from light_jobs import build

    settings = {
        "blob_store": str(tmp_path / "blobs"),
        "offload_threshold": "1024",
        "encryption_keys": KeyRing.generate("k1"),
        "heartbeat_interval": "0.2",
        "missed_heartbeats": "50",  # nobody takes the place of a worker that a busy machine has made late
        "cancel_grace": "0.5",
        "unknown_task_ttl": "1",
        "retention": str(HOUR),
        "dead_retention": str(HOUR),
        "blob_retention": str(HOUR),
        "http_port": str(free_port()),
    }
    if ledger_url.startswith("postgresql"):
        settings["partition_period"] = "60"
    made = Cluster(build, "light_app", Path(__file__).parent, tmp_path, ledger_url, redis_url, settings)
    notifiers = {"ops": {"kind": "webhook", "url": hook.url, "secret": SECRET}, "log": {"kind": "log"}}
    made.settings["alerts"] = json.dumps({"every": 0.5, "rules": ALERTING, "notifiers": notifiers})
    made.settings["slos"] = json.dumps({"adding": {"task": "add", "within": 30.0}})
    yield made
    made.close()


def who_loads(cluster: Cluster) -> dict[int, str]:
    """Return the processes that have loaded it, and from where each did so first."""
    return {int(file.stem): file.read_text() for file in cluster.folder.glob("*.loads")}


def processes(workers: list[Running]) -> set[int]:
    return {pid for worker in workers for pid in (worker.pid, *worker.children())}


def holding(cluster: Cluster, task: str) -> JobHandle[Any]:
    """Submit a job and return it as soon as it runs."""
    job = cluster.submit(task)
    wait_until((cluster.folder / f"{job.id}.holds").exists, PATIENCE, message=lambda: cluster.describe(job))
    return job


def lose_a_worker(cluster: Cluster) -> JobHandle[Any]:
    """Kill a worker and return the job that it ran."""
    lost = cluster.worker("lost", http_port="0")
    job = holding(cluster, "hold")
    (cluster.folder / f"{job.id}.holds").unlink()
    lost.kill()
    return job


def run_all_kinds(cluster: Cluster) -> None:
    """Have jobs end in all ways."""
    large = str(LARGE)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    succeed = {
        cluster.submit("add", 1, 2, tags={"a": "b"}, delay=0.5): 3,
        cluster.submit("say", large): large,
        cluster.submit("go on", 4): [0, 1, 2, 3],
        cluster.submit("parent"): 10,
        cluster.submit("snooze"): 1,
        cluster.submit("die", 1): 2,
        cluster.submit("narrow", "a"): "a",
        cluster.submit("narrow", "a", idempotency_key="a"): "a",
        cluster.submit("paced", deadline=tomorrow): None,
        cluster.submit("vote"): "yes",
    }
    die = [
        cluster.submit("fail", "error"),
        cluster.submit("fail", "discard"),
        cluster.submit("fail", large),
        cluster.submit("sleep"),
        cluster.submit("die", 99),
        cluster.submit("unknown"),
        cluster.submit("add", 1, 2, delay=PATIENCE, deadline=datetime.now(UTC) + timedelta(seconds=0.5)),
    ]
    for job, result in succeed.items():
        assert job.wait(PATIENCE) == result, cluster.describe(job)
    for job in die:
        with pytest.raises(JobDead):
            job.wait(PATIENCE)


def cancel(cluster: Cluster, job: JobHandle[Any]) -> None:
    """Cancel a job that runs, by force where it does not listen."""
    job.cancel("by the test")
    with pytest.raises(JobCancelled):
        job.wait(PATIENCE)


def fail_and_replay(cluster: Cluster) -> None:
    """Have a breaker open and its dead letters replayed when it has closed."""
    jobs = [cluster.submit("pay") for _ in range(4)]
    wait_until(lambda: cluster.app.dead_letters.count(task="pay", status="open") >= 2, PATIENCE)
    (cluster.folder / "paid").touch()
    wait_until(lambda: cluster.app.dead_letters.count(task="pay", status="open") == 0, PATIENCE)
    assert all(job.refresh().state.is_final for job in jobs)


def cut_connections(cluster: Cluster) -> None:
    """End all connections of workers to a server."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    if cluster.ledger_url.startswith("postgresql"):
        cluster.app.ledger.read(
            lambda c: c.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        )


def keep_house(cluster: Cluster) -> None:
    """Have the platform's own jobs run when everything is old."""
    maintenance.register_maintenance(cluster.app)
    blob_sweep.register_blob_sweep(cluster.app)
    for column in OF_OLD:
        table, _, name = column.partition(".")
        cluster.app.ledger.transact(lambda c: c.execute(text(f"UPDATE {table} SET {name} = {name} - {2 * HOUR}")))  # noqa: B023
    pruned = cluster.app.schedules.trigger(maintenance.NAME).wait(PATIENCE)
    assert {name for name, count in pruned.items() if count} >= PRUNED
    assert cluster.app.schedules.trigger(blob_sweep.NAME).wait(PATIENCE) == 0  # this ledger has only now left its mark
    for path in (cluster.folder / "blobs").rglob("*"):
        os.utime(path, (1, 1))
    assert cluster.app.schedules.trigger(blob_sweep.NAME).wait(PATIENCE) > 0


def ask_for_pages(cluster: Cluster) -> None:
    for page in ("livez", "readyz", "healthz", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.settings['http_port']}/{page}", timeout=PATIENCE) as got:
            assert got.read()


def test_workers_do_all_that_they_do_without_sqlalchemy(cluster: Cluster, redis_url: str, hook: Receiver) -> None:
    @cluster.app.job(name="unknown")
    def unknown() -> None: ...

    abandoned = lose_a_worker(cluster)
    cluster.supervisor(http_port="0")
    workers = [
        cluster.worker("w1"),
        cluster.worker("w2", http_port="0"),
        cluster.worker("w3", "background", 1, http_port="0"),
    ]
    wait_until((cluster.folder / f"{abandoned.id}.holds").exists, PATIENCE, message=lambda: cluster.describe(abandoned))
    cancel(cluster, abandoned)
    cancel(cluster, holding(cluster, "polite"))
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(queue_name("normal"), b"{not json")
    run_all_kinds(cluster)
    cut_connections(cluster)
    fail_and_replay(cluster)
    ask_for_pages(cluster)
    wait_until(lambda: cluster.app.dead_letters.count(reason="malformed") == 1, PATIENCE)
    wait_until(lambda: hook.received, PATIENCE)
    for told in ("node failed", "new group"):
        wait_until((cluster.folder / told).exists, PATIENCE, message=told)
    wait_until(lambda: cluster.app.jobs.count(task="tick").get("succeeded"), PATIENCE)
    keep_house(cluster)
    assert cluster.submit("particular").wait(PATIENCE) == 2  # another worker's: the first one's is given up

    assert not who_loads(cluster), "\n".join(f"process {pid}:\n{stack}" for pid, stack in who_loads(cluster).items())
    child = cluster.submit("load").wait(PATIENCE)
    assert set(who_loads(cluster)) == {child}
    assert child in processes(workers)
