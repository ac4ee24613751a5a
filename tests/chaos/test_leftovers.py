"""Processes that jobs start: they end with the child that started them, and not before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure import JobDead
from support.cluster import PATIENCE, Cluster, alive
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

HERE = Path(__file__).parent
#: How jobs start processes; see ``leftover_jobs.py``.
WAYS = ("start_subprocess", "start_session", "start_daemon_process", "fork_twice", "start_shell")


@pytest.fixture
def leaving(tmp_path: Path, sqlite_url: str, redis_url: str) -> Iterator[Cluster]:
    from leftover_jobs import build

    cluster = Cluster(build, "leftover_jobs", HERE, tmp_path, sqlite_url, redis_url, {"max_crashes": "1"})
    yield cluster
    for effects in tmp_path.glob("*.effects"):
        for line in effects.read_text().splitlines():
            if line.startswith("left:") and alive(pid := int(line.split()[0].removeprefix("left:"))):
                os.kill(pid, signal.SIGKILL)
    cluster.close()


def left_by(cluster: Cluster, job: object) -> int:
    return int(cluster.await_effect(job, "left:").what.removeprefix("left:"))  # type: ignore[arg-type]


def test_what_a_killed_child_had_started_ends(leaving: Cluster) -> None:
    worker = leaving.worker("w1", concurrency=len(WAYS))
    jobs = {way: leaving.submit("leave", way, "kill") for way in WAYS}
    pids = {way: left_by(leaving, job) for way, job in jobs.items()}
    assert all(alive(pid) for pid in pids.values())
    leaving.open("die")
    for way, job in jobs.items():
        with pytest.raises(JobDead):
            job.wait(PATIENCE)
        wait_until(lambda pid=pids[way]: not alive(pid), PATIENCE, message=way)  # type: ignore[misc]
    assert leaving.submit("quick").wait(PATIENCE) == 1
    assert len(worker.children()) == len(WAYS)  # its new children are left alone


def test_what_a_job_left_behind_stays_until_its_child_ends(leaving: Cluster) -> None:
    worker = leaving.worker("w1", concurrency=2)
    held = leaving.submit("hold", "gate")
    held_by = leaving.await_effect(held, "start").pid
    pids = {way: leaving.submit("leave", way, "return").wait(PATIENCE) for way in WAYS}
    [child] = set(worker.children()) - {held_by}
    assert [leaving.submit("quick").wait(PATIENCE) for _ in range(5)] == [1] * 5
    os.kill(held_by, signal.SIGKILL)  # what another child's jobs left behind does not end with it
    with pytest.raises(JobDead):
        held.wait(PATIENCE)
    wait_until(lambda: len(set(worker.children()) - {held_by, child}) == 1, PATIENCE)
    assert leaving.submit("quick").wait(PATIENCE) == 1
    assert all(alive(pid) for pid in pids.values())

    os.kill(child, signal.SIGKILL)
    for way, pid in pids.items():
        wait_until(lambda pid=pid: not alive(pid), PATIENCE, message=way)  # type: ignore[misc]
    assert leaving.submit("quick").wait(PATIENCE) == 1


def test_what_jobs_left_behind_ends_with_a_worker_that_is_stopped(leaving: Cluster) -> None:
    worker = leaving.worker("w1", concurrency=1)
    pids = {way: leaving.submit("leave", way, "return").wait(PATIENCE) for way in WAYS}
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 0
    for way, pid in pids.items():
        wait_until(lambda pid=pid: not alive(pid), PATIENCE, message=way)  # type: ignore[misc]


def test_a_job_uses_multiprocessing(leaving: Cluster) -> None:
    leaving.worker("w1", concurrency=1)
    for kind in ("Pool", "default", "fork", "spawn", "forkserver"):
        for _ in range(2):
            assert leaving.submit("spread", kind).wait(PATIENCE) == [0, 1, 4, 9, 16], kind
