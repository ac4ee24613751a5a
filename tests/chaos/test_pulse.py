"""A process beats while its main loop goes round, also while its broker is away; a frozen one does not."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from perdure_workers.embedded.redis import RedisServer
from perdure_workers.recovery.pulse import EVERY, Beat, beats
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


def test_a_worker(make_cluster: Callable[..., Cluster], sqlite_url: str, own_redis: RedisServer) -> None:
    cluster = make_cluster(sqlite_url, own_redis.url)
    worker = cluster.worker("w1")

    def beat() -> Beat:
        [found] = beats(cluster.folder / "home", "w1")
        assert found.pid == worker.pid
        return found

    def age() -> float:
        found = beat().age
        assert found is not None
        return found

    wait_until(lambda: age() < EVERY, PATIENCE)
    worker.stop_whole()
    wait_until(lambda: age() > 3 * EVERY, PATIENCE)
    worker.continue_whole()
    wait_until(lambda: age() < EVERY, PATIENCE)

    own_redis.kill()
    file, seen = cluster.folder / "home" / "pulses" / beat().name, set[str]()

    def has_beaten_on() -> bool:
        seen.add(file.read_text())
        return len(seen) > 5

    wait_until(has_beaten_on, PATIENCE)
    own_redis.start()
    assert cluster.submit("quick").wait(PATIENCE) == 1

    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert beats(cluster.folder / "home") == []


def test_a_supervisor(make_cluster: Callable[..., Cluster], sqlite_url: str, redis_url: str) -> None:
    cluster = make_cluster(sqlite_url, redis_url)
    supervisor = cluster.supervisor()
    assert [beat.is_alive for beat in beats(cluster.folder / "home", "supervisor")] == [True]
    supervisor.signal(signal.SIGTERM)
    assert supervisor.exit_code() == 0
    assert beats(cluster.folder / "home") == []
