"""Milliseconds until Flower has answered with each of perdure's pages, on ledgers of several sizes.

``BENCH_JOBS=100000`` sets another largest size. A real Flower process on SQLite, one request after another.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from perdure.ledger import Ledger
from perdure.model.dead_letter import LetterFilter
from perdure_workers.embedded.redis import RedisServer
from support.flowers import FlowerProcess, flower_process
from support.full_ledgers import fill

SIZES = (1_000, int(os.environ.get("BENCH_JOBS", "1000000")))
#: Jobs that are not finished, and so are dead letters' jobs as well, whatever the size.
UNFINISHED = 100
ROUNDS = 15
USER = ("perdure", "bench")


def main() -> None:
    """Ask each page of each ledger and print a table."""
    took = {size: pages(size) for size in SIZES}
    table = Table("page, ms (median)", *(f"{size:,} jobs" for size in SIZES), title="Flower's pages, SQLite")
    for page in took[SIZES[0]]:
        table.add_row(page, *(f"{took[size][page]:.0f}" for size in SIZES))
    Console().print(table)


def pages(size: int) -> dict[str, float]:
    """Return the milliseconds of each page on a ledger of one size."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'ledger.db'}"
        ledger = Ledger(url)
        ledger.upgrade()
        fill(ledger, size, statistics=False, every=max(1, size // UNFINISHED))
        paths = paths_of(ledger)
        ledger.close()
        with RedisServer(folder / "redis", die_with_parent=True) as redis:
            environment = {
                "PERDURE_LEDGER_URL": url,
                "PERDURE_BROKER_URL": redis.url,
                "PERDURE_HOME": str(folder / "home"),
                "PERDURE_FLOWER_PASSWORD": USER[1],
            }
            command = [sys.executable, "-m", "perdure_workers", "flower"]
            with flower_process(command, folder, environment, USER) as flower:
                return {title: milliseconds(flower, path) for title, path in paths.items()}


def paths_of(ledger: Ledger) -> dict[str, str]:
    """Return the paths to ask, by what they are."""
    newest = ledger.jobs.listing(limit=50)
    letters = ledger.letters.page(LetterFilter(), limit=1)
    return {
        "overview": "overview",
        "jobs": "jobs",
        "jobs, a further page": f"jobs?after={newest[-1].id}",
        "jobs by state and task": "jobs?state=dead&task=tests.add",
        "a job": f"jobs/{newest[0].id}",
        "dead letters": "dead-letters",
        "dead letters by word": "dead-letters?text=declined&status=open",
        "a dead letter": f"dead-letters/{letters[0].id}",
        "breakers": "breakers",
        "workers": "workers",
    }


def milliseconds(flower: FlowerProcess, path: str) -> float:
    """Return the median milliseconds of a page."""
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        flower.get(f"/perdure/{path}").raise_for_status()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)
