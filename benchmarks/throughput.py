"""Submit and drain no-op jobs on perdure and on plain Celery: same Redis, same pool size, in turn.

All workers are up from the beginning; each round has every side take one burst while the others idle. A burst takes a
second or two, so that a slow minute of the machine hits all sides: the ratios are what counts.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from perdure.tickets import queue_name
from perdure_workers.duties.reconcile import SEPARATOR
from rich.console import Console
from rich.progress import track
from rich.table import Table

from perdure import Perdure
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
CHILDREN = 2
SUBMITS = 100
BURST = 500
ROUNDS = 12
DEADLINE = 60.0
COLUMNS = ("submit/s", "bulk submit/s", "drain/s")


@dataclass
class Side:
    """One of those that are compared.

    Attributes:
        celery: Its Celery application, for remote control.
        queue: The queue that its worker takes from.
        key: That queue's key in Redis.
        url: Its Redis database.
        submit_one: Submits one job.
        submit_many: Submits so many jobs.
        left: Returns how many jobs have not ended.
    """

    celery: Any
    queue: str
    key: str
    url: str
    submit_one: Callable[[], object]
    submit_many: Callable[[int], object]
    left: Callable[[], int]

    def burst(self) -> tuple[float, ...]:
        """Submit a burst while the worker takes nothing, then let it, and return the three rates."""
        self._tell("cancel_consumer")
        one = _rate(SUBMITS, lambda: [self.submit_one() for _ in range(SUBMITS)])
        many = _rate(BURST, lambda: self.submit_many(BURST))
        started = time.perf_counter()
        self._tell("add_consumer")
        self._await_end()
        return one, many, (SUBMITS + BURST) / (time.perf_counter() - started)

    def warm_up(self) -> None:
        """Run a burst that nobody counts, once the worker answers."""
        give_up_at = time.monotonic() + DEADLINE
        while not self.celery.control.ping(timeout=0.5):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"the worker of {self.queue} does not answer")
        self.burst()

    def _tell(self, command: str) -> None:
        getattr(self.celery.control, command)(self.queue, reply=True, timeout=5, limit=1)

    def _await_end(self) -> None:
        give_up_at = time.monotonic() + DEADLINE
        with redis.Redis.from_url(self.url) as client:
            while client.llen(self.key) or client.hlen("unacked"):  # cheap to ask, unlike the ledger
                time.sleep(0.01)
                if time.monotonic() > give_up_at:
                    raise TimeoutError(f"{self.queue}: not drained after {DEADLINE:g} s")
        while self.left():
            time.sleep(0.005)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{self.queue}: {self.left()} jobs did not end")


def main() -> None:
    """Run the rounds and print a table."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perdure-bench-")))
        home.chmod(0o755)
        broker = stack.enter_context(RedisServer(home / "redis", die_with_parent=True))
        postgres = stack.enter_context(PostgresServer(home / "postgres", die_with_parent=True))
        base = broker.url.rsplit("/", 1)[0]
        sides = {
            "plain Celery": stack.enter_context(plain(f"{base}/1")),
            "perdure, SQLite": stack.enter_context(perdure(f"{base}/2", f"sqlite:///{home / 'ledger.db'}", home / "2")),
            "perdure, PostgreSQL": stack.enter_context(perdure(f"{base}/3", postgres.create_database("bench"), home / "3")),
        }
        for side in sides.values():
            side.warm_up()
        rates: dict[str, list[tuple[float, ...]]] = {name: [] for name in sides}
        for _ in track(range(ROUNDS), "rounds", console=Console(stderr=True)):
            for name, side in sides.items():
                rates[name].append(side.burst())
    show(rates)


def show(results: dict[str, list[tuple[float, ...]]]) -> None:
    """Print medians, and the median over the rounds of each round's ratio to plain Celery, with its quartiles."""
    table = Table("", *(cell for name in COLUMNS for cell in (name, "ratio")), title="no-op jobs, median of rounds")
    base = results["plain Celery"]
    for name, rounds in results.items():
        cells = []
        for column in range(len(COLUMNS)):
            ratios = [of[column] / to[column] for of, to in zip(rounds, base, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            value = statistics.median(rates[column] for rates in rounds)
            cells += [f"{value:,.0f}", f"{middle:.2f} ({low:.2f}-{high:.2f})"]
        table.add_row(name, *cells)
    Console(width=140).print(table)


@contextmanager
def plain(broker_url: str) -> Iterator[Side]:
    """Yield plain Celery with a worker."""
    from benchmarks.plain import app, noop

    app.conf.broker_url = broker_url
    command = ["celery", "-A", "benchmarks.plain", "worker", "-c", str(CHILDREN), "-P", "prefork", "-l", "ERROR",
               "--without-gossip", "--without-mingle", "-n", "plain"]  # fmt: skip
    with _worker(command, {"BENCH_BROKER_URL": broker_url}):
        yield Side(
            app,
            "celery",
            "celery",
            broker_url,
            noop.apply_async,
            lambda n: [noop.apply_async() for _ in range(n)],
            lambda: 0,
        )


@contextmanager
def perdure(broker_url: str, ledger_url: str, home: Path) -> Iterator[Side]:
    """Yield perdure with a worker."""
    app = Perdure(broker_url=broker_url, ledger_url=ledger_url, home=home)
    app.ledger.upgrade()
    noop = app.register(_noop, name="noop")
    command = ["perdure", "worker", "normal", "-A", "benchmarks.jobs", "-c", str(CHILDREN)]
    urls = {"PERDURE_BROKER_URL": broker_url, "PERDURE_LEDGER_URL": ledger_url, "PERDURE_HOME": str(home)}
    queue = queue_name("normal")
    with _worker(command, {**urls, "PERDURE_LOG_LEVEL": "ERROR"}):
        yield Side(
            app.celery,
            queue,
            f"{queue}{SEPARATOR}{noop.priority}",
            broker_url,
            noop.submit,
            lambda n: noop.submit_many(() for _ in range(n)),
            lambda: len(app.jobs.list(state="queued", limit=1)) + len(app.jobs.list(state="running", limit=1)),
        )
    app.close()


def _noop() -> None:
    return None


def _rate(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


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
