"""What it costs a worker to be watched: alerts, scrapes, kept log lines, traces, each and all, beside none of it.

    python -m benchmarks watching

One platform for each, side by side, with a worker of two children. Batches of jobs that say one line and do nothing else
are worked off in turn. What is measured is the processor time of the worker with its children: what else a machine does
changes it less than jobs a second. That ends of jobs are counted cannot be switched off: ``metrics`` measures it.
"""

from __future__ import annotations

import statistics
import tempfile
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from benchmarks import watched_jobs
from benchmarks.processes import Tree
from perdure.ledger.schema import jobs
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.recovery.pulse import beats
from support.cluster import Cluster
from support.waiting import wait_until

#: Batches, after one to warm up, and jobs of each.
ROUNDS, JOBS = 7, 2000
#: Seconds that a batch may take.
PATIENCE = 120.0

OFF = {"alerts": '{"every": 300}', "job_log_lines": "0"}
ALERTS, SCRAPED, KEPT = {"alerts": '{"every": 1}'}, {"http_port": "0"}, {"job_log_lines": "200"}
#: By name: settings, and the module of the application.
PLATFORMS: dict[str, tuple[dict[str, str], str]] = {
    "nothing": (OFF, "benchmarks.watched_jobs"),
    "alerts looked for each second": (OFF | ALERTS, "benchmarks.watched_jobs"),
    "metrics scraped each second": (OFF | SCRAPED, "benchmarks.watched_jobs"),
    "a log line kept with each job": (OFF | KEPT, "benchmarks.watched_jobs"),
    "traces": (OFF, "benchmarks.traced_jobs"),
    "all of it": (OFF | ALERTS | SCRAPED | KEPT, "benchmarks.traced_jobs"),
}


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name, ExitStack() as stack:
        found = [Path(name) / str(number) for number in range(len(PLATFORMS))]
        platforms = {which: platform(stack, folder, which) for which, folder in zip(PLATFORMS, found, strict=True)}
        took: dict[str, list[float]] = {which: [] for which in platforms}
        for number in range(ROUNDS + 1):
            for which, cluster in platforms.items():
                seconds = batch(cluster)
                if number:
                    took[which].append(seconds)
        show(took)


def platform(stack: ExitStack, folder: Path, which: str) -> Cluster:
    """Start a platform with one worker, and what scrapes it if that is to be measured."""
    settings, module = PLATFORMS[which]
    folder.mkdir()
    broker = stack.enter_context(RedisServer(folder / "redis", die_with_parent=True))
    root, ledger = Path(watched_jobs.__file__).parents[1], f"sqlite:///{folder / 'ledger.db'}"
    cluster = Cluster(watched_jobs.build, module, root, folder, ledger, broker.url, settings)
    stack.callback(cluster.close)
    cluster.worker("w1", concurrency=2)
    if "http_port" in settings:
        [beat] = beats(folder / "home", "w1")
        assert beat.http is not None
        stack.enter_context(Scraper(f"{beat.http}/metrics"))
    return cluster


class Scraper:
    """Reads a page each second, until the end of the block.

    Args:
        url: The page.
    """

    def __init__(self, url: str) -> None:
        self._url, self._over = url, Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            with suppress(OSError), urllib.request.urlopen(self._url, timeout=30) as page:
                page.read()


def batch(cluster: Cluster) -> float:
    """Work off a batch and return the microseconds of processor time that its worker took for a job."""
    tree = Tree([cluster.running[0].pid])
    before = tree.cpu()
    handles = cluster.app.task("say").submit_many([(number,) for number in range(JOBS)])
    ended = select(func.count()).where(jobs.c.id >= min(one.id for one in handles), jobs.c.finished_at.is_not(None))
    wait_until(lambda: cluster.app.ledger.read(lambda c: c.execute(ended).scalar_one()) >= JOBS, PATIENCE, interval=0.2)
    return (tree.cpu() - before) / JOBS * 1e6


def show(took: dict[str, list[float]]) -> None:
    """Print what a job takes, and the ratio to the platform that nothing watches."""
    table = Table("watched by", "processor time of a job, us", "ratio, median", "lowest", "highest")
    for which, times in took.items():
        ratios = [each / off for off, each in zip(took["nothing"], times, strict=True)]
        cells = (statistics.median(ratios), min(ratios), max(ratios))
        table.add_row(which, f"{statistics.median(times):,.0f}", *(f"{one:.2f}" for one in cells))
    Console().print(table)


if __name__ == "__main__":
    main()
