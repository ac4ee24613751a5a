"""Milliseconds of the ledger's statements by the number of jobs that it remembers: they should stay flat.

Each of the jobs has an attempt, a tag and a dead letter; a hundred are unfinished or dead. Databases get their statistics,
as PostgreSQL's autovacuum sees to. The same statements are run on a small and on a large ledger.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from perdure.ledger import Ledger
from perdure.ledger.letter_records import LetterFilter
from perdure_workers.embedded.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # what fills a ledger is shared with the tests of the query plans

from support.full_ledgers import fill  # noqa: E402
from support.ledgers import SUCCEED, job  # noqa: E402

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 300
#: Jobs that are not finished, or dead: as many in each ledger.
UNFINISHED = 100


def main() -> None:
    """Fill, measure and print a table for each database."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with PostgresServer(folder / "postgres", die_with_parent=True) as postgres:
            databases: dict[str, Callable[[int], str]] = {
                "SQLite": lambda size: f"sqlite:///{folder / f'{size}.db'}",
                "PostgreSQL": lambda size: postgres.create_database(f"size_{size}"),
            }
            for database, url in databases.items():
                show(database, {size: measure(url(size), size) for size in SIZES})


def measure(url: str, size: int) -> dict[str, float]:
    """Return the median milliseconds of each operation on a ledger of so many jobs."""
    with filled(url, size) as ledger:
        return {name: statistics.median(times) * 1000 for name, times in operations(ledger).items()}


@contextmanager
def filled(url: str, size: int) -> Iterator[Ledger]:
    """Yield a ledger that remembers so many jobs."""
    ledger = Ledger(url)
    ledger.upgrade()
    started = time.monotonic()
    fill(ledger, size, statistics=True, every=size // UNFINISHED)
    print(f"{ledger.database.dialect}: {size:,} jobs written in {time.monotonic() - started:.0f} s", file=sys.stderr)
    try:
        yield ledger
    finally:
        ledger.close()


def operations(ledger: Ledger) -> dict[str, list[float]]:
    """Run each operation a few hundred times and return the seconds that each took."""
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = work()
        times.setdefault(name, []).append(time.perf_counter() - started)
        return result

    newest = ledger.jobs(limit=1)[0].id
    for _ in range(ROUNDS):
        new = job(1, task="tests.bench")
        timed("submit", lambda new=new: ledger.submit([new]))
        claim = timed("claim", lambda new=new: ledger.claim(new.id, "w", "w", 1))
        timed("settle", lambda claim=claim: ledger.settle(claim, SUCCEED))
        ledger.submit([job(1, delay=0.0001)])
        timed("queue what is due", lambda: ledger.queue_due(100))
        timed("look for lost tickets", ledger.levels)
        timed("list a page", lambda: ledger.jobs(limit=50))
        timed("list a page by state", lambda: ledger.jobs(state="dead", limit=50))  # type: ignore[arg-type]
        timed("list a page by tag", lambda: ledger.jobs(tag=("tenant", "tenant-1"), limit=50, after=newest))
        timed("list dead letters", lambda: ledger.letters.page(LetterFilter(status="open"), limit=50))
        assert claim is not None
    return times


def show(database: str, medians: dict[int, dict[str, float]]) -> None:
    """Print the medians of one database and how the largest ledger compares with the smallest."""
    table = Table("ms, median", *(f"{size:,} jobs" for size in medians), "ratio", title=f"table size, {database}")
    for name, smallest in medians[SIZES[0]].items():
        cells = [f"{medians[size][name]:.2f}" for size in medians]
        table.add_row(name, *cells, f"{medians[SIZES[-1]][name] / smallest:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
