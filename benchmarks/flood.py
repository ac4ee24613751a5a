"""Seconds from submit to start of critical jobs while background is flooded, beside an idle platform.

    python -m benchmarks flood

Two platforms on one machine, each with its own ledger and Redis and the same workers. In one of them 5,000 slow jobs wait
in background. Critical jobs are submitted to both in turn, so that whatever else the machine does slows both alike.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos import chaos_jobs
from perdure_workers.embedded.redis import RedisServer
from support.cluster import Cluster

CHAOS = Path(chaos_jobs.__file__).parent
FLOOD = 5_000
#: Seconds that each of them takes.
SLOW = 1.0
ROUNDS = 200


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name, ExitStack() as stack:
        idle, flooded = (platform(stack, Path(name) / which) for which in ("idle", "flooded"))
        flooded.app.task("nap").options(bulkhead="background").submit_many([(SLOW,)] * FLOOD)
        show(measure({"idle": idle, "flooded": flooded}))
        print(f"background jobs that ended meanwhile: {flooded.app.jobs.count(by='state').get('succeeded', 0) - ROUNDS}")


def platform(stack: ExitStack, folder: Path) -> Cluster:
    """Start a platform with a critical and a background worker."""
    folder.mkdir()
    broker = stack.enter_context(RedisServer(folder / "redis", die_with_parent=True))
    cluster = Cluster(chaos_jobs.build, "chaos_app", CHAOS, folder, f"sqlite:///{folder / 'ledger.db'}", broker.url)
    stack.callback(cluster.close)
    cluster.worker("c1", "critical", concurrency=2)
    cluster.worker("b1", "background", concurrency=3)
    return cluster


def measure(platforms: dict[str, Cluster]) -> dict[str, list[float]]:
    """Return the milliseconds from submit to start, by platform."""
    took: dict[str, list[float]] = {name: [] for name in platforms}
    for _ in range(ROUNDS):
        for name, cluster in platforms.items():
            job = cluster.submit("quick", bulkhead="critical")
            job.wait(60)
            record = job.record
            assert record.started_at is not None
            assert record.created_at is not None
            took[name].append((record.started_at - record.created_at).total_seconds() * 1000)
    return took


def show(found: dict[str, list[float]]) -> None:
    """Print percentiles, milliseconds."""
    table = Table("critical jobs", "p50 ms", "p95 ms", "p99 ms", "jobs")
    for name, times in found.items():
        cuts = statistics.quantiles(times, n=100)
        table.add_row(name, *(f"{cuts[at]:.1f}" for at in (49, 94, 98)), str(len(times)))
    Console().print(table)


if __name__ == "__main__":
    main()
