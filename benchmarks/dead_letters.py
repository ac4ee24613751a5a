"""Milliseconds to find dead letters among a million: each filter, common and rare, near and deep pages, and the groups.

``BENCH_LETTERS`` sets another number of letters. Databases get their statistics, as PostgreSQL's autovacuum sees to;
SQLite is also asked without, since nobody runs ANALYZE on an embedded file.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from perdure.ledger import Ledger
from perdure.model.dead_letter import LetterFilter
from perdure_workers.embedded.postgres import PostgresServer
from support.full_ledgers import fill

LETTERS = int(os.environ.get("BENCH_LETTERS", "1000000"))
ROUNDS = 20
#: Rounds of a case end after so many seconds, so that a slow one does not hold up the others.
SECONDS_PER_CASE = 5.0
#: Faults beside those that the letters have: a ledger that was in use for long has seen thousands.
GROUPS = 5_000
ADD_GROUPS = """
INSERT INTO perdure_dead_letter_groups (fingerprint, task, reason, error_type, error, seen, open, replayed, discarded,
                                        boomerangs, first_seen, last_seen, changed)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :groups)
SELECT 'g' || i, 'tests.add', 'exhausted', 'E' || i, 'no', i, i, 0, 0, 0, 1.7e9 + i, 1.7e9 + i, FALSE FROM n
"""


def main() -> None:
    """Fill a ledger of each kind, measure, and print a table."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        show(measure(f"sqlite:///{folder / 'letters.db'}", "SQLite"))
        with PostgresServer(folder / "postgres", die_with_parent=True) as postgres:
            show(measure(postgres.create_database("letters"), "PostgreSQL"))


def measure(url: str, name: str) -> dict[str, dict[str, list[float]]]:
    """Return the milliseconds of each round of each case, by the ledger that was asked."""
    took: dict[str, dict[str, list[float]]] = {}
    ledger = filled(url)
    try:
        if ledger.database.dialect == "sqlite":
            took[f"{name}, no statistics"] = {case: times(work) for case, work in cases(ledger).items()}
        with ledger.database.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
        ledger.database.close()  # a connection that is open goes on with what it knew
        took[name] = {case: times(work) for case, work in cases(ledger).items()}
    finally:
        ledger.close()
    return took


def filled(url: str) -> Ledger:
    """Return a ledger that has so many letters, without statistics."""
    ledger = Ledger(url)
    ledger.upgrade()
    started = time.monotonic()
    fill(ledger, LETTERS, statistics=False)
    with ledger.database.engine.begin() as connection:
        connection.execute(text(ADD_GROUPS), {"groups": GROUPS})
    print(f"{ledger.database.dialect}: {LETTERS:,} letters in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return ledger


def cases(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """Return what is measured: one call each."""
    letters = ledger.letters
    filters = {
        "newest": LetterFilter(),
        "by task": LetterFilter(task="tests.add"),
        "by bulkhead": LetterFilter(bulkhead="critical"),
        "by error type": LetterFilter(error="E1"),
        "by fingerprint": LetterFilter(fingerprint="f2"),
        "by reason": LetterFilter(reason="exhausted"),
        "by breaker": LetterFilter(breaker="payments"),
        "by tag": LetterFilter(tag=("tenant", "tenant-1")),
        "by a tag that nobody has": LetterFilter(tag=("tenant", "nobody")),
        "open ones (1 in 500)": LetterFilter(status="open"),
        "open ones of a task": LetterFilter(status="open", task="tests.add"),
        "a common word": LetterFilter(text="declined"),
        "a rare word": LetterFilter(text=f"w{LETTERS // 2}"),
        "a common and a rare word": LetterFilter(text=f"declined w{LETTERS // 2}"),
        "a word that nobody has": LetterFilter(text="nothing"),
        "the last hour": LetterFilter(since=1.7e9 + LETTERS - 3600),
        "a span in the middle": LetterFilter(since=1.7e9 + LETTERS // 2, until=1.7e9 + LETTERS // 2 + 60),
    }
    middle = letters.page(filters["a span in the middle"], limit=1)[0].id
    found: dict[str, Callable[[], object]] = {
        f"page, {name}": (lambda which=which: letters.page(which, limit=50)) for name, which in filters.items()
    }
    return found | {
        "page, half way down": lambda: letters.page(LetterFilter(), limit=50, after=middle),
        "page, half way down a task": lambda: letters.page(filters["by task"], limit=50, after=middle),
        "one letter": lambda: ledger.letters.get(middle),
        f"groups, {GROUPS:,} of them": lambda: letters.groups(limit=50),
        "groups, the latest": lambda: letters.groups(limit=50, order="last_seen"),
        "count the open ones": lambda: letters.count(filters["open ones (1 in 500)"]),
        "count a third of all": lambda: letters.count(filters["by task"]),
    }


def times(work: Callable[[], object]) -> list[float]:
    """Return the milliseconds of each round; the first one, which prepares the statement, is not counted."""
    work()
    took: list[float] = []
    end = time.perf_counter() + SECONDS_PER_CASE
    while len(took) < ROUNDS and (not took or time.perf_counter() < end):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1000)
    return took


def show(took: dict[str, dict[str, list[float]]]) -> None:
    """Print the medians, and the worst round of each."""
    columns = [f"{database}, ms (worst)" for database in took]
    table = Table("find", *columns, title=f"{LETTERS:,} dead letters, median of {ROUNDS}")
    for case in next(iter(took.values())):
        cells = [f"{statistics.median(of[case]):.2f} ({max(of[case]):.1f})" for of in took.values()]
        table.add_row(case, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
