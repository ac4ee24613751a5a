"""Metrics add up when workers and children are killed in the middle of it: totals equal the ledger's."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from perdure.ledger.schema import attempts
from perdure.model.metrics import BELLS_MISSED
from perdure_workers.recovery.pulse import beats
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

JOBS = 150


def test_totals_equal_the_ledger_s(make_cluster: Callable[..., Cluster], ledger_url: str, redis_url: str) -> None:
    cluster = make_cluster(ledger_url, redis_url, http_port="0", heartbeat_interval="0.4")
    first, second = cluster.workers("w1", "w2", concurrency=2)
    held = [cluster.submit("hold", "gate") for _ in range(2)]
    for job in held:
        cluster.await_effect(job, "start")
    jobs = [cluster.submit("quick") for _ in range(JOBS)]
    for pid in first.children():
        os.kill(pid, signal.SIGKILL)
    second.kill()
    cluster.open("gate")
    for job in [*held, *jobs]:
        job.wait(PATIENCE)

    page = scraped(cluster, "w1")
    assert total(page, "perdure_jobs_finished_total", "state") == {"succeeded": JOBS + 2}
    assert total(page, "perdure_attempts_total", "outcome") == in_ledger(cluster)
    assert in_ledger(cluster)["crashed"] >= 2
    assert sum(total(page, "perdure_jobs_submitted_total", "bulkhead").values()) == JOBS + 2
    assert sum(total(page, "perdure_recovery_seconds_count", "bulkhead").values()) >= 2
    assert sum(total(page, "perdure_worker_failures_total", "bulkhead").values()) == 1


def test_bells_that_nobody_hears_are_counted_and_a_burst_is_not(
    make_cluster: Callable[..., Cluster], sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    worker = cluster.worker("w1")
    for job in [cluster.submit("quick") for _ in range(200)]:
        job.wait(PATIENCE)
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert missed(cluster) == 0

    cluster.worker("w2")
    other = cluster.build(
        ledger_url=sqlite_url, broker_url=redis_url, redis_prefix="elsewhere:", home=cluster.folder / "home"
    )
    jobs = other.task("quick").submit_many([()] * 10)
    wait_until(lambda: all(job.state == "succeeded" for job in jobs), PATIENCE)

    def another_one() -> int:  # what was found is counted with what is found later, when its bell has not come by then
        other.task("quick").submit().wait(PATIENCE)
        return missed(cluster)

    wait_until(lambda: another_one() >= 10, PATIENCE)
    other.close()


def missed(cluster: Cluster) -> int:
    return sum(one.count for one in cluster.app.ledger.counts().counts if one.name == BELLS_MISSED.name)


def test_a_supervisor_is_ready_when_its_duties_are_done(
    make_cluster: Callable[..., Cluster], sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url, http_port="0")
    cluster.supervisor()
    wait_until(lambda: status(cluster, "supervisor", "/readyz") == 200, PATIENCE)
    assert status(cluster, "supervisor", "/livez") == 200


Page = dict[str, list[tuple[dict[str, str], float]]]


def url(cluster: Cluster, name: str) -> str:
    [beat] = beats(cluster.folder / "home", name)
    assert beat.http is not None
    return beat.http


def status(cluster: Cluster, name: str, path: str) -> int:
    try:
        with urllib.request.urlopen(url(cluster, name) + path, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def scraped(cluster: Cluster, name: str) -> Page:
    """What a worker's ``/metrics`` says, by the name of the sample."""
    with urllib.request.urlopen(f"{url(cluster, name)}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    page: Page = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name, []).append((sample.labels, sample.value))
    return page


def total(page: Page, name: str, label: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for labels, value in page.get(name, []):
        found[labels[label]] += int(value)
    return {each: count for each, count in found.items() if count}


def in_ledger(cluster: Cluster) -> dict[str, int]:
    """Attempts that ended, by their outcome."""
    with cluster.app.ledger.transaction() as connection:
        return dict(Counter(connection.execute(select(attempts.c.outcome)).scalars()))
