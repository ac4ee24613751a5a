"""What counting for metrics costs: a child's shift with and without it, in turn, and what adding up and reading take.

    python -m benchmarks metrics

A child works off jobs that do nothing, in slices as large as it makes them; every second time nothing is counted. Jobs that
do nothing are the worst case: a job that takes 10 ms costs the same to count.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import text

from perdure import Perdure
from perdure.ledger import counts
from perdure.ledger.jobs import settle
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.recovery.incarnation import Incarnation
from perdure_workers.shared.shared import Shared
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.worker.shift import Shift

#: Times that jobs are worked off in each way, and how many jobs that are.
TURNS, JOBS = 40, 1000


def main() -> None:
    """Measure on both databases and print a table."""
    logging.disable(logging.ERROR)
    head = ("counted, us a job", "not counted", "ratio", "adding up, ms", "reading all, ms")
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
    counted, not_counted = turns(app)
    adding_up = timed(lambda: app.ledger.add_up_counts(enough=0.0, full=True))
    reading = statistics.median(timed(app.metrics.read) for _ in range(5))
    # The quickest tenth: what else runs on a machine only adds, and by more than what is looked for.
    one, other = (statistics.quantiles(times, n=10)[0] / JOBS * 1000 for times in (counted, not_counted))
    return [f"{one:.1f}", f"{other:.1f}", f"{one / other:.3f}", f"{adding_up:.1f}", f"{reading:.1f}"]


def turns(app: Perdure) -> tuple[list[float], list[float]]:
    """Return the milliseconds of turns that are counted, and of those that are not; one of each after the other."""
    task = app.register(lambda: None, name="bench.nothing")
    shift = Shift(app, Incarnation.new("bench", "normal", 1), Shared(Wakeups(1)), 0)
    shift._events.start()
    shift._keeper.start()
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(TURNS * 2 + 2):
        task.submit_many([()] * JOBS)
        if number == 2:
            app.ledger.read(lambda c: c.execute(text("ANALYZE")))  # as the database does by itself within a minute
        with nullcontext() if number % 2 == 0 else uncounted():
            took = timed(lambda: work(shift))
        if number > 1:  # the first of each are warming up
            found[number % 2].append(took)
    return found


def work(shift: Shift) -> None:
    """Work until nothing is left."""
    while shift._serve():
        pass


@contextmanager
def uncounted() -> Iterator[None]:
    """Settle without counting."""
    with (
        patch.object(settle, "_SETTLE_AND_RECORD", _UNCOUNTED),
        patch.object(counts, "numbered", lambda _endings, _rows: ""),
        patch.object(counts, "of_settled", lambda _endings, _states: []),
    ):
        yield


_UNCOUNTED = text(str(settle._SETTLE_AND_RECORD).replace(counts.APPEND_SETTLED, "SELECT CAST(:kinds AS text)"))


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that work takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
