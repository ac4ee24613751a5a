"""Where SQLite, PostgreSQL and Redis are full: how much they take of 1, 2, 4 and 8 processes that do nothing else.

    python -m benchmarks saturation [--quick]

Submits one by one and a thousand at a time, claims with settlements of a hundred jobs, and permits taken and given back.
What does not grow with the processes any more is bound by the server, or by the cores that it shares with them.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from benchmarks.ledgers import SUCCEED, new_job
from benchmarks.report import Report, Table
from benchmarks.servers import serving
from perdure.ledger import Ledger
from perdure.ledger.jobs.claim import Claimer
from perdure.resilience.limits.permits import Permits, PermitsConfig

PROCESSES, QUICK_PROCESSES = (1, 2, 4, 8), (1, 4)
SECONDS, QUICK_SECONDS = 3.0, 0.5
BULK, SLICE = 1_000, 100
#: What a process does once, and how many of it that were.
Step = Callable[[], int]


def measure_report(*, quick: bool = False) -> Report:
    """Measure and return the report."""
    report = Report("saturation", "Where SQLite, PostgreSQL and Redis are full")
    sizes, seconds = (QUICK_PROCESSES, QUICK_SECONDS) if quick else (PROCESSES, SECONDS)
    table = Table("a second, all processes together", ["processes", *map(str, sizes)])
    with serving() as servers:
        redis, postgres = servers.addresses("perdure")
        urls = {"SQLite": f"sqlite:///{servers.folder / 'ledger.db'}", "PostgreSQL": postgres}
        for url in urls.values():
            ledger = Ledger(url)
            ledger.upgrade()
            ledger.close()
        rows = [(f"{name}: {what}", kind, url) for name, url in urls.items() for what, kind in LEDGER.items()]
        for title, kind, url in [*rows, ("Redis: permits", permits, redis)]:
            found = [together(kind, url, size, seconds) for size in sizes]
            print(f"{title}: {found}", file=sys.stderr)
            table.rows.append([title, *(f"{rate:,.0f}" for rate in found)])
            report.data[title] = dict(zip(map(str, sizes), found, strict=True))
    report.tables.append(table)
    return report


def together(kind: Callable[[str], Step], url: str, size: int, seconds: float) -> float:
    """Return how much so many processes do in a second."""
    context = multiprocessing.get_context("spawn")
    begin, results = context.Barrier(size), context.Queue()
    processes = [context.Process(target=_do, args=(kind, url, begin, seconds, results), daemon=True) for _ in range(size)]
    for process in processes:
        process.start()
    rate = sum(results.get(timeout=seconds + 60.0) for _ in processes)
    for process in processes:
        process.join()
    return rate


def _do(
    kind: Callable[[str], Step], url: str, begin: Barrier, seconds: float, results: multiprocessing.Queue[float]
) -> None:
    step, done = kind(url), 0
    step()
    begin.wait(60.0)
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        done += step()
    results.put(done / (time.monotonic() - began))


def one_by_one(url: str) -> Step:
    """Submit a job."""
    ledger = Ledger(url)
    return lambda: len(ledger.jobs.submit([new_job()]))


def in_bulk(url: str) -> Step:
    """Submit many jobs by one statement."""
    ledger = Ledger(url)
    return lambda: len(ledger.jobs.submit([new_job() for _ in range(BULK)]))


def slices(url: str) -> Step:
    """Claim and settle a slice of what was submitted before."""
    ledger, name = Ledger(url), multiprocessing.current_process().name
    by = Claimer("normal", name, name, 1, (new_job().task,))

    def step() -> int:
        claims = ledger.jobs.claim(by, SLICE)
        if not claims:
            ledger.jobs.submit([new_job() for _ in range(BULK)])
            return 0
        return len(ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).states)

    return step


def permits(url: str) -> Step:
    """Take a permit and give it back: two commands, each a script."""
    some = Permits(url, "bench", PermitsConfig(limit=100))

    def step() -> int:
        some.acquire("a").release()
        return 1

    return step


LEDGER = {
    "submits one by one": one_by_one,
    f"submits, {BULK:,} at a time": in_bulk,
    f"claimed and settled, {SLICE} at a time": slices,
}
