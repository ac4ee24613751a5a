"""A primary whose process is killed, or hangs: a backup takes over by itself, and nothing that counted is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure import JobHandle
from perdure.ledger.running import replicated_log
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos

HERE = Path(__file__).parent
OPERATIONS = 25


@pytest.fixture
def cluster(tmp_path: Path, ledger_url: str, redis_url: str, _jobs_on_path: None) -> Iterator[Cluster]:
    from group_jobs import build

    cluster = Cluster(build, "group_jobs", HERE, tmp_path, ledger_url, redis_url, {})
    yield cluster
    cluster.close()


class Members:
    """The members' processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        port, command = self.folder / f"{name}.port", [sys.executable, str(HERE / "group_member.py")]
        port.unlink(missing_ok=True)
        self.processes[name] = subprocess.Popen([*command, str(self.folder / f"{name}.log"), str(port)])
        wait_until(port.exists, PATIENCE)

    def done(self, name: str) -> list[str]:
        return [json.loads(line)["key"] for line in (self.folder / f"{name}.log").read_text().splitlines()]


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    members = Members(tmp_path)
    for name in ("eu", "us", "ap"):
        members.start(name)
    yield members
    for process in members.processes.values():
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize("fate", ["killed", "stopped"])
def test_a_backup_takes_over_by_itself(cluster: Cluster, members: Members, fate: str) -> None:
    from group_jobs import Client

    cluster.workers("w1", "w2")
    stock = cluster.app.groups["stock"]
    jobs: list[JobHandle[int]] = [stock.submit(n, key=f"o-{n}") for n in range(OPERATIONS)]
    jobs[4].wait(PATIENCE)

    eu = members.processes["eu"]
    eu.send_signal(signal.SIGKILL if fate == "killed" else signal.SIGSTOP)
    jobs += [stock.submit(n, key=f"o-{n}") for n in range(OPERATIONS, 2 * OPERATIONS)]
    results = {f"o-{n}": job.wait(PATIENCE) for n, job in enumerate(jobs)}

    [promotion] = stock.promotions()
    assert (promotion.before, promotion.epoch, promotion.by) == ("eu", 2, "failover")
    # Each operation counted the ones before it: none was lost, none was done twice, none runs under a result of another.
    log = cluster.app.ledger.read(lambda c: replicated_log.entries_after(c, "stock", 0, 1_000))
    assert [results[entry.key] for entry in log] == list(range(1, 2 * OPERATIONS + 1)), cluster.describe(jobs[0])
    assert [entry.epoch for entry in log] == sorted(entry.epoch for entry in log)
    assert {job.record.attempt for job in jobs} == {1}, "a primary that fails burns no attempt"

    if fate == "killed":
        eu.wait(PATIENCE)
        members.start("eu")
    else:
        eu.send_signal(signal.SIGCONT)
    everything = dict.fromkeys(("eu", "us", "ap"), 2 * OPERATIONS)
    wait_until(lambda: stock.snapshot().applied == everything, PATIENCE, message=lambda: str(stock.snapshot()))
    assert sorted(members.done("eu")) == sorted(members.done("us")) == sorted(members.done("ap")) == sorted(results)

    assert Client("eu", cluster.folder).ask(key="late", epoch=1) == {"fenced": 2}
    assert "late" not in members.done("eu")
    told = cluster.folder / "promotions"
    wait_until(told.exists, PATIENCE)
    assert [line.split()[:3] for line in told.read_text().splitlines()] == [["2", "eu", promotion.primary]]
    assert stock.snapshot().primary == promotion.primary
