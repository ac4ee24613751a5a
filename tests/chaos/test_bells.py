"""Bells that are lost, forged by the million or never heard, and work that nobody rings for: jobs go on all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import redis
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from perdure import JobHandle
from perdure.broker.queues import MOST, queue_name
from perdure.system.ports import free_port
from perdure_workers.embedded.redis import RedisServer
from support.cluster import PATIENCE, Cluster, Running
from support.processes import alive
from support.thorough import part_of
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MakeCluster = Callable[..., Cluster]
QUEUE = queue_name("normal")
FLOOD = int(os.environ.get("TEST_BELLS", part_of(1_000_000)))
#: ``TEST_QUEUED=100000`` and more is for a machine of its own.
QUEUED = int(os.environ.get("TEST_QUEUED", part_of(20_000)))

#: Puts a bell into a queue so many times.
FLOOD_SCRIPT = """
local bells = {}
for place = 1, 100 do bells[place] = ARGV[1] end
for _ = 1, tonumber(ARGV[2]) / 100 do
    redis.call('LPUSH', KEYS[1], unpack(bells))
end
"""


def started_without_broker(cluster: Cluster, name: str, concurrency: int = 2) -> Running:
    """Start a worker and wait until its children are there; it is not ready, as Celery sees it."""
    worker = cluster.start("worker", "normal", "-c", str(concurrency), "-n", name, name=name)
    wait_until(lambda: any(record.pid == worker.pid for record in cluster.app.workers.list()), PATIENCE)
    wait_until(lambda: len(worker.children()) >= concurrency, PATIENCE)
    return worker


def assert_each_ran_once(cluster: Cluster, jobs: list[JobHandle[int]]) -> None:
    assert [job.wait(PATIENCE) for job in jobs] == [1] * len(jobs)
    assert all(cluster.whats(job) == ["start", "end"] for job in jobs)


def test_a_flood_of_bells_neither_holds_up_jobs_nor_stays(
    make_cluster: MakeCluster, sqlite_url: str, redis_url: str
) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    jobs = [cluster.submit("quick")]
    with redis.Redis.from_url(redis_url, socket_timeout=PATIENCE) as client:
        flood = client.register_script(FLOOD_SCRIPT)
        bell = client.lindex(QUEUE, 0)
        flood(keys=[QUEUE], args=[bell, FLOOD])
        assert client.llen(QUEUE) > FLOOD
        jobs.append(cluster.submit("quick"))  # whoever rings cuts the queue
        assert client.llen(QUEUE) <= MOST

        flood(keys=[QUEUE], args=[bell, FLOOD])
        cluster.worker("w1")
        wait_until(lambda: client.llen(QUEUE) <= MOST, PATIENCE)  # and so does a worker
        assert_each_ran_once(cluster, jobs)

        for _ in range(10):  # while it serves
            flood(keys=[QUEUE], args=[bell, FLOOD // 10])
            jobs.append(cluster.submit("quick"))
            assert jobs[-1].wait(PATIENCE) == 1
        wait_until(lambda: client.llen(QUEUE) <= MOST, PATIENCE)

    assert_each_ran_once(cluster, jobs)
    assert cluster.app.dead_letters.count() == 0


def test_a_long_queue_whose_bells_are_lost(make_sliced: MakeCluster, ledger_url: str, redis_url: str) -> None:
    cluster = make_sliced(ledger_url, redis_url)
    cluster.worker("w1")
    jobs = cluster.app.task("mark").submit_many((number,) for number in range(QUEUED))
    assert len(jobs) == QUEUED
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    wait_until(
        lambda: cluster.app.jobs.count() == {"succeeded": QUEUED}, 10 * PATIENCE, 0.5, lambda: str(cluster.app.jobs.count())
    )

    marks = (cluster.folder / "marks").read_text().split()
    assert sorted(map(int, marks)) == list(range(QUEUED))


def test_redis_is_away_for_the_whole_run(make_cluster: MakeCluster, ledger_url: str) -> None:
    cluster = make_cluster(ledger_url, f"redis://127.0.0.1:{free_port()}/0")
    worker = started_without_broker(cluster, "w1")
    jobs = [cluster.submit("quick") for _ in range(20)]
    jobs += cluster.app.task("nap").submit_many([(0.01,)] * 100)
    assert_each_ran_once(cluster, jobs)

    killed = worker.children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    dying = cluster.submit("die", "kill", 1)
    assert dying.wait(PATIENCE) == 2  # other children took the place of those that were killed, and of its own
    assert cluster.outcomes(dying) == ["crashed", "succeeded"]
    assert not any(alive(pid) for pid in killed)

    rest = cluster.app.task("nap").submit_many([(0.02,)] * 200)
    cluster.await_effect(rest[0], "end")
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 0
    started_without_broker(cluster, "w2")
    assert_each_ran_once(cluster, rest)


def test_bells_are_heard_again_when_redis_is_back(
    make_cluster: MakeCluster, sqlite_url: str, own_redis: RedisServer
) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url)
    own_redis.kill()
    worker = started_without_broker(cluster, "w1")
    assert_each_ran_once(cluster, [cluster.submit("quick")])

    own_redis.start()
    wait_until(lambda: " ready." in worker.logged(), PATIENCE, message=worker.logged)

    assert_each_ran_once(cluster, [cluster.submit("quick") for _ in range(10)])


def test_an_old_release_leaves_what_it_does_not_know_to_a_newer_one(
    make_cluster: MakeCluster, ledger_url: str, redis_url: str
) -> None:
    cluster = make_cluster(ledger_url, redis_url)
    old = cluster.start("worker", "normal", "-c", "2", "-n", "old", name="old", module="chaos_old_app")
    cluster.await_ready(old)
    before = cluster.app.task("quick").submit_many([()] * 300)
    cluster.worker("new")
    after = cluster.app.task("quick").submit_many([()] * 300)

    assert_each_ran_once(cluster, [*before, *after])
    children = set(old.children())
    assert not any(effect.pid in children for job in [*before, *after] for effect in cluster.effects(job))
    assert all(cluster.outcomes(job) == ["succeeded"] and job.record.attempt == 1 for job in [*before, *after])
    assert cluster.app.dead_letters.count() == 0


@pytest.mark.both_ledgers
def test_submits_in_transactions_that_roll_back_or_commit_late(
    make_cluster: MakeCluster, ledger_url: str, redis_url: str
) -> None:
    cluster = make_cluster(ledger_url, redis_url)
    cluster.worker("w1")
    engine = create_engine(ledger_url)
    is_sqlite = engine.dialect.name == "sqlite"  # it has one writer: others can only submit before and after
    with Session(engine) as late, Session(engine) as never:
        earlier = cluster.app.task("quick").submit_many([()] * 100)
        if not is_sqlite:
            undone = cluster.submit("quick", session=never)
        committed = cluster.submit("quick", session=late)
        if not is_sqlite:
            meanwhile = cluster.app.task("quick").submit_many([()] * 500)
            assert_each_ran_once(cluster, [*earlier, *meanwhile])  # who rings finds none of the others
            never.rollback()
        assert cluster.effects(committed) == []
        late.commit()
        if is_sqlite:
            undone = cluster.submit("quick", session=never)
            never.rollback()
    engine.dispose()

    assert_each_ran_once(cluster, [*earlier, committed])  # its place in line was before those that ran meanwhile
    assert_each_ran_once(cluster, cluster.app.task("quick").submit_many([()] * 50))
    assert cluster.effects(undone) == []
    assert undone.id not in {record.id for record in cluster.app.jobs.list(limit=1000)}
