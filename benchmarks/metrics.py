"""What counting for metrics costs: a child's shift with and without it, in turn, and what adding up and reading take.

    python -m benchmarks metrics

A child works off jobs that do nothing, in slices as large as it makes them; half of them, drawn by lot, are not counted.
Jobs that do nothing are the worst case: a job that takes 10 ms costs the same to count.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from unittest.mock import patch

from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import text

from perdure import Perdure
from perdure.ledger import counts
from perdure.ledger.jobs import settle
from perdure.ledger.jobs.settle import Ending
from perdure.model.job_log import Chunk
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.shared.shared import Shared
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.worker.shift import Shift

#: Jobs that are worked off, and how many are submitted at once.
JOBS, PAGE = 80_000, 1000
#: Jobs of a slice from which on its time says what one of many takes.
FEWEST = 50


def main() -> None:
    """Measure on both databases and print a table."""
    logging.disable(logging.ERROR)
    head = ("a job, us", "settling it", "without counting", "ratio", "adding up, ms", "reading all, ms")
    table = Table(Column("ledger", no_wrap=True), *head, title="a child's shift of jobs that do nothing")
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with RedisServer(folder / "redis") as redis, PostgresServer(folder / "postgres", die_with_parent=True) as database:
            urls = {"SQLite": f"sqlite:///{folder}/ledger.db", "PostgreSQL": database.create_database("bench")}
            for ledger, url in urls.items():
                app = Perdure(ledger_url=url, broker_url=redis.url, home=folder / "home")
                app.ledger.upgrade()
                table.add_row(ledger, *row(app))
                app.close()
    Console().print(table)


def row(app: Perdure) -> list[str]:
    """Return the figures for one ledger."""
    whole, counted, not_counted = slices(app)
    adding_up = timed(lambda: app.ledger.add_up_counts(enough=0.0, full=True))
    reading = statistics.median(timed(app.metrics.read) for _ in range(5))
    # The quickest tenth: what else runs on a machine only adds, and by more than what is looked for.
    job, one, other = (statistics.quantiles(times, n=10)[0] for times in (whole, counted, not_counted))
    ratio = job / (job - one + other)
    return [f"{job:.1f}", f"{one:.1f}", f"{other:.1f}", f"{ratio:.3f}", f"{adding_up:.1f}", f"{reading:.1f}"]


def slices(app: Perdure) -> tuple[list[float], list[float], list[float]]:
    """Return the microseconds that a job takes, and that settling it takes with counting and without, drawn by lot.

    All else is the same for both.
    """
    task = app.register(lambda: None, name="bench.nothing")
    shift = Shift(app, Incarnation.new("bench", "normal", 1), Shared(Wakeups(1)), 0)
    shift._events.start()
    shift._keeper.start()
    for _ in range(JOBS // PAGE):
        task.submit_many([()] * PAGE)
    app.ledger.read(lambda c: c.execute(text("ANALYZE")))  # as PostgreSQL does by itself within a minute
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    lot, settling = Random(1), Settling(app)
    while True:
        is_counted = lot.random() < 0.5
        with nullcontext() if is_counted else uncounted():
            took = timed(lambda: one_slice(shift))
        jobs, settled_in = settling.take()
        if jobs == 0:
            return found
        if jobs >= FEWEST:
            found[1 if is_counted else 2].append(settled_in * 1000 / jobs)
            if is_counted:
                found[0].append(took * 1000 / jobs)


def one_slice(shift: Shift) -> None:
    """Claim, run and settle a slice; the next one is not claimed along with that."""
    if claims := shift._claim():
        shift._work(claims).let_go()


class Settling:
    """Measures how long it takes to settle.

    Args:
        app: Whose jobs.
    """

    def __init__(self, app: Perdure) -> None:
        self._jobs, self._took, self._settle = 0, 0.0, app.ledger.jobs.settle_all
        setattr(app.ledger.jobs, "settle_all", self._settle_all)  # noqa: B010 - a method, for mypy

    def take(self) -> tuple[int, float]:
        """Return how many jobs were settled since the last time, and in how many milliseconds."""
        found = self._jobs, self._took
        self._jobs, self._took = 0, 0.0
        return found

    def _settle_all(self, endings: Sequence[Ending], said: Sequence[Chunk] = ()) -> settle.Settled:
        began = time.perf_counter()
        settled = self._settle(endings, said)
        self._jobs, self._took = self._jobs + len(endings), self._took + (time.perf_counter() - began) * 1000
        return settled


@contextmanager
def uncounted() -> Iterator[None]:
    """Settle without counting."""
    with (
        patch.object(settle, "_SETTLE_AND_RECORD", _UNCOUNTED),
        patch.object(counts, "numbered", lambda _endings, _rows: ""),
        patch.object(counts, "of_settled", lambda _endings, _states: []),
    ):
        yield


_UNCOUNTED = settle._SETTLE_AND_RECORD.replace(counts.APPEND_SETTLED, "SELECT CAST(:kinds AS text)")


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that work takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
