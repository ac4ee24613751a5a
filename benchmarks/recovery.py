"""Seconds from a kill to the re-execution of the job: of a child, of a whole worker, and from SIGTERM in a drain.

Real workers, default settings; two workers serve the bulkhead, the one that has the job is hit. Losses on this host are
measured on SQLite. Those on another host are measured on PostgreSQL, with the lock files removed that neighbours see.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos import chaos_jobs
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from support.cluster import Cluster, Running

CHAOS = Path(chaos_jobs.__file__).parent
CHILD_KILLS = 20
WORKER_KILLS = 10
DRAINS = 10
REPLACEMENTS = 5
FAR_KILLS = 10
FREEZES = 5

Results = dict[str, list[float]]
Measure = Callable[[Cluster], Results]


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # for the account that PostgreSQL runs as
        results = in_cluster(here, folder / "here", f"sqlite:///{folder / 'ledger.db'}")
        with PostgresServer(folder / "postgres", die_with_parent=True) as database:
            results |= in_cluster(elsewhere, folder / "elsewhere", database.create_database("ledger"))
        show(results)


def in_cluster(measure: Measure, folder: Path, ledger: str) -> Results:
    """Return what is measured in a new cluster of two workers."""
    folder.mkdir()
    with RedisServer(folder / "redis", die_with_parent=True) as broker:
        cluster = Cluster(chaos_jobs.build, "chaos_app", CHAOS, folder, ledger, broker.url)
        try:
            cluster.supervisor()
            cluster.workers("w0", "w1")
            return measure(cluster)
        finally:
            cluster.close()


def elsewhere(cluster: Cluster) -> Results:
    """Return the seconds of the losses that only the ledger can tell of."""
    return {
        "worker killed on another host": [far_kill(cluster, number) for number in range(FAR_KILLS)],
        "worker frozen (the lease runs out)": [freeze(cluster, number) for number in range(FREEZES)],
    }


def far_kill(cluster: Cluster, number: int) -> float:
    """Kill the main process of a worker whose lock cannot be seen."""
    for lock in cluster.folder.rglob("*.lock"):
        lock.unlink()
    seconds = _again(cluster, ("hold", f"far-{number}"), lambda _pid, worker: worker.kill())
    cluster.worker(f"f{number}")
    return seconds


def freeze(cluster: Cluster, number: int) -> float:
    """Stop a worker's processes, whose connections stay open."""
    seconds = _again(cluster, ("hold", f"freeze-{number}"), lambda _pid, worker: worker.stop_whole())
    cluster.worker(f"z{number}")
    return seconds


def here(cluster: Cluster) -> Results:
    """Return the seconds of each kind of loss on one host."""
    return {
        "child killed": [child_kill(cluster, number) for number in range(CHILD_KILLS)],
        "worker killed": [worker_kill(cluster, number) for number in range(WORKER_KILLS)],
        "worker drained": [drain(cluster, number) for number in range(DRAINS)],
        "worker replaced (from the new one's lease)": [replace(cluster, n) for n in range(REPLACEMENTS)],
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


def replace(cluster: Cluster, number: int) -> float:
    """Stop all workers, then start another; return the seconds from when that has its lease to the job's next start."""
    job = cluster.submit("march", 100_000, 0.02)
    cluster.await_effect(job, "saved")
    for running in cluster.running:
        if running.name != "supervisor" and running.process.poll() is None:
            running.signal(signal.SIGTERM)
            running.exit_code()
    worker = cluster.worker(f"n{number}")
    again = cluster.await_effect(job, "start", count=2)
    job.cancel()
    leased = next(record.started_at for record in cluster.app.workers.list() if record.pid == worker.pid)
    return again.at - (leased.timestamp() - time.time() + time.monotonic()) if leased is not None else float("nan")


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
