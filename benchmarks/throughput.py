"""Submit and drain no-op jobs on perdure and on plain Celery, same Redis, same pool size, in turn.

Ratios are what counts: machines differ, and rounds are interleaved so that a slow minute hits both sides.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from perdure import Perdure
from perdure_workers.duties.reconcile import SEPARATOR
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
CHILDREN = 2
SUBMITS = 500
DRAINS = 2000
ROUNDS = 5
DEADLINE = 120.0


def main() -> None:
    """Run the rounds and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        servers = RedisServer(home / "redis", die_with_parent=True), PostgresServer(home / "postgres", die_with_parent=True)
        with servers[0] as broker, servers[1] as postgres:
            sides: dict[str, Callable[[], tuple[float, float, float]]] = {
                "plain Celery": lambda: plain_round(broker.url),
                "perdure, SQLite": lambda: perdure_round(broker.url, f"sqlite:///{home / 'ledger.db'}"),
                "perdure, PostgreSQL": lambda: perdure_round(broker.url, postgres.create_database(f"b{time.time_ns()}")),
            }
            results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
            for number in range(ROUNDS):
                for name, run in sides.items():
                    results[name].append(run())
                    print(f"round {number + 1}: {name} {results[name][-1]}", file=sys.stderr)
    show(results)


def show(results: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print medians and ratios to plain Celery; the ratio is the median over the rounds of each round's ratio."""
    table = Table(
        "", "submit/s", "ratio", "bulk submit/s", "ratio", "drain/s", "ratio", title="no-op jobs, median of rounds"
    )
    base = results["plain Celery"]
    for name, rounds in results.items():
        cells = []
        for column in range(3):
            value = statistics.median(r[column] for r in rounds)
            ratio = statistics.median(r[column] / b[column] for r, b in zip(rounds, base, strict=True))
            cells += [f"{value:,.0f}", f"{ratio:.2f}"]
        table.add_row(name, *cells)
    Console().print(table)


def plain_round(broker_url: str) -> tuple[float, float, float]:
    """Measure plain Celery: (submits, bulk submits, drained jobs) a second."""
    from benchmarks.plain import app, noop

    app.conf.broker_url = broker_url
    one = _rate(SUBMITS, lambda: [noop.apply_async() for _ in range(SUBMITS)])
    many = _rate(DRAINS, lambda: [noop.apply_async() for _ in range(DRAINS)])
    command = ["celery", "-A", "benchmarks.plain", "worker", "-c", str(CHILDREN), "-P", "prefork", "-l", "ERROR",
               "--without-gossip", "--without-mingle", "-n", "plain"]  # fmt: skip
    with _worker(command, {"BENCH_BROKER_URL": broker_url}):
        return one, many, _drain_rate(broker_url, "celery")


def perdure_round(broker_url: str, ledger_url: str) -> tuple[float, float, float]:
    """Measure perdure: (submits, bulk submits, drained jobs) a second."""
    app = Perdure(broker_url=broker_url, ledger_url=ledger_url)
    app.ledger.upgrade()
    noop = app.register(_noop, name="noop")
    before = app.jobs.count().get("succeeded", 0)
    one = _rate(SUBMITS, lambda: [noop.submit() for _ in range(SUBMITS)])
    many = _rate(DRAINS, lambda: noop.submit_many(() for _ in range(DRAINS)))
    command = ["perdure", "worker", "normal", "-A", "benchmarks.jobs", "-c", str(CHILDREN)]
    environment = {"PERDURE_BROKER_URL": broker_url, "PERDURE_LEDGER_URL": ledger_url, "PERDURE_LOG_LEVEL": "ERROR"}
    with _worker(command, environment):
        rate = _drain_rate(broker_url, f"perdure.normal{SEPARATOR}5")
    succeeded = app.jobs.count().get("succeeded", 0) - before
    assert succeeded == SUBMITS + DRAINS, f"{succeeded} jobs succeeded"
    app.close()
    return one, many, rate


def _noop() -> None:
    return None


def _rate(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def _drain_rate(broker_url: str, queue: str) -> float:
    """Return jobs a second between the first fifth (the worker has warmed up) and the end."""
    total = SUBMITS + DRAINS
    client = redis.Redis.from_url(broker_url)

    def done() -> int:
        return total - int(client.llen(queue)) - int(client.hlen("unacked"))

    give_up_at = time.monotonic() + DEADLINE
    first: tuple[float, int] | None = None
    while (count := done()) < total:
        if first is None and count >= total // 5:
            first = (time.perf_counter(), count)
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{count} of {total} jobs done after {DEADLINE:g} s")
        time.sleep(0.02)
    assert first is not None
    return (total - first[1]) / (time.perf_counter() - first[0])


@contextmanager
def _worker(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    binary = Path(sys.executable).parent / command[0]
    process = subprocess.Popen(
        [str(binary), *command[1:]], cwd=ROOT, env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()
