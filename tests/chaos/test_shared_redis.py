"""Two applications on one Redis database, each with a ledger of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from perdure.broker.queues import queue_name
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def make_pair(make_cluster: MakeCluster, tmp_path: Path, redis_url: str) -> Callable[..., list[Cluster]]:
    """A function that makes two platforms on one Redis, given the settings of each."""

    def make(*settings: dict[str, str]) -> list[Cluster]:
        pair = []
        for name, own in zip(("shop", "crm"), settings, strict=True):
            folder = tmp_path / name
            folder.mkdir()
            pair.append(make_cluster(f"sqlite:///{folder / 'ledger.sqlite3'}", redis_url, home=str(folder / "home"), **own))
        return pair

    return make


def logged_problems(cluster: Cluster) -> list[str]:
    lines = [line for running in cluster.running for line in running.logged().splitlines()]
    return [line for line in lines if " WARNING " in line or " ERROR " in line]


def test_two_applications_with_the_same_names_run_each_its_own_jobs(make_pair: Callable[..., list[Cluster]]) -> None:
    shop, crm = make_pair({}, {})
    for cluster, name in ((shop, "shop"), (crm, "crm")):
        cluster.worker(name)
    jobs = {id(cluster): [cluster.submit("quick") for _ in range(30)] for cluster in (shop, crm)}
    for cluster in (shop, crm):
        assert [job.wait(PATIENCE) for job in jobs[id(cluster)]] == [1] * 30
        assert all(cluster.whats(job) == ["start", "end"] for job in jobs[id(cluster)])
        assert cluster.app.dead_letters.count() == 0
        assert cluster.app.jobs.count() == {"succeeded": 30}
        assert [record.name.partition("@")[0] for record in cluster.app.workers.list()] == [cluster.running[0].name]
        assert logged_problems(cluster) == []


def test_a_bell_that_another_application_took_costs_a_look_and_no_more(
    make_pair: Callable[..., list[Cluster]], redis_url: str
) -> None:
    shop, crm = make_pair({}, {})
    shop.worker("shop")
    [job] = crm.app.task("quick").submit_many([()])
    with redis.Redis.from_url(redis_url) as client:
        wait_until(lambda: client.llen(queue_name("normal")) == 0, PATIENCE)  # the wrong worker took the bell
    assert job.state == "queued"
    crm.worker("crm")
    assert job.wait(PATIENCE) == 1
    assert shop.app.jobs.count() == {}
    assert shop.app.dead_letters.count() == 0


def test_applications_with_prefixes_of_their_own_do_not_hear_each_other(
    make_pair: Callable[..., list[Cluster]], redis_url: str
) -> None:
    shop, crm = make_pair({"redis_prefix": "shop:"}, {"redis_prefix": "crm:"})
    shop.worker("shop")
    held = crm.submit("quick")
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("crm:" + queue_name("normal")) == 1
        for _ in range(20):
            assert shop.submit("quick").wait(PATIENCE) == 1
        assert client.llen("crm:" + queue_name("normal")) == 1  # nobody took the bell that is not his
        wait_until(lambda: client.llen("shop:" + queue_name("normal")) == 0, PATIENCE)

        assert crm.app.celery.control.ping(timeout=0.5) == []
        answers = shop.app.celery.control.ping(timeout=2)
        assert [next(iter(answer)).partition("@")[0] for answer in answers or []] == ["shop"]
        crm.worker("crm")
        assert held.wait(PATIENCE) == 1
        others = [key for key in client.keys("*") if not key.startswith((b"shop:", b"crm:"))]
    assert others == []
    for cluster in (shop, crm):
        assert cluster.app.dead_letters.count() == 0
        assert logged_problems(cluster) == []
