"""Seconds from a kill to the re-execution of the job: of a child, of a whole worker, and from SIGTERM in a drain.

Real workers, SQLite ledger, default settings; two workers serve the bulkhead, the one that has the job is hit.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from perdure_workers.embedded.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]  # the harness and the jobs of the chaos tests

from chaos_jobs import build  # noqa: E402

from support.cluster import Cluster, Running  # noqa: E402

CHILD_KILLS = 20
WORKER_KILLS = 10
DRAINS = 10


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        with RedisServer(folder / "redis", die_with_parent=True) as broker:
            ledger = f"sqlite:///{folder / 'ledger.db'}"
            cluster = Cluster(build, "chaos_app", ROOT / "tests" / "chaos", folder, ledger, broker.url)
            try:
                show(measure(cluster))
            finally:
                cluster.close()


def measure(cluster: Cluster) -> dict[str, list[float]]:
    """Return the seconds of each kind of loss."""
    cluster.workers("w0", "w1")
    return {
        "child killed": [child_kill(cluster, number) for number in range(CHILD_KILLS)],
        "worker killed": [worker_kill(cluster, number) for number in range(WORKER_KILLS)],
        "worker drained": [drain(cluster, number) for number in range(DRAINS)],
    }


def child_kill(cluster: Cluster, number: int) -> float:
    """Kill the child that runs a job."""
    return _again(cluster, ("hold", f"child-{number}"), lambda pid, _worker: os.kill(pid, signal.SIGKILL))


def worker_kill(cluster: Cluster, number: int) -> float:
    """Kill the main process of the worker that runs a job, then start another."""
    seconds = _again(cluster, ("hold", f"worker-{number}"), lambda _pid, worker: worker.kill())
    cluster.worker(f"k{number}")
    return seconds


def drain(cluster: Cluster, number: int) -> float:
    """Stop the worker that runs a checkpointed job in order, then start another."""
    seconds = _again(cluster, ("march", 100_000, 0.02), lambda _pid, worker: worker.signal(signal.SIGTERM))
    cluster.worker(f"d{number}")
    return seconds


def _again(cluster: Cluster, call: tuple[object, ...], hit: Callable[[int, Running], None]) -> float:
    task, *arguments = call
    job = cluster.submit(str(task), *arguments)
    first = cluster.await_effect(job, "start" if task == "hold" else "saved")
    worker = next(
        running for running in cluster.running if running.process.poll() is None and first.pid in running.children()
    )
    began = time.monotonic()
    hit(first.pid, worker)
    again = cluster.await_effect(job, "start", count=2)
    job.cancel()
    if task == "hold":
        cluster.open(str(arguments[0]))
    return again.at - began


def show(results: dict[str, list[float]]) -> None:
    """Print the median and the 95th percentile of each kind."""
    table = Table("", "times", "p50 s", "p95 s", "max s", title="from the loss of a process to the job's next start")
    for name, seconds in results.items():
        p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
        table.add_row(name, str(len(seconds)), *(f"{x:.2f}" for x in (statistics.median(seconds), p95, max(seconds))))
    Console().print(table)
