"""Milliseconds of the ledger's steps by the number of jobs that it remembers, and a drain beside the pruning of a million.

    python -m benchmarks table_size [--quick]

10,000,000 finished jobs are written by the database itself, in minutes; ``BENCH_JOBS`` sets another number. The same steps
are run on a small and on the large ledger in turn. Then real workers drain jobs on the large one, with and without a
process that prunes what is old.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.sharedctypes import Synchronized

from benchmarks import systems
from benchmarks.ledgers import PRUNED_AT_ONCE, fill, new_job, opened, prune_all, steps
from benchmarks.report import Report, Table, Target, number, ratio, spread
from benchmarks.servers import Servers, serving
from benchmarks.trial import Lost, Subject
from perdure.ledger import Ledger

SMALL = 1_000
LARGE = int(os.environ.get("BENCH_JOBS", "10000000"))
QUICK_LARGE = 200_000
#: Of the large ledger, the part that is due to be pruned.
OLD_PART, QUICK_OLD_PART = 0.1, 0.5
ROUNDS, QUICK_ROUNDS = 300, 50
DRAINS, QUICK_DRAINS = 5, 1
DRAIN_JOBS, QUICK_DRAIN_JOBS = 15_000, 1_000
#: Steps whose growth is bounded.
BOUNDED = ("submit", "claim", "settle", "list a page", "list a page by state", "list a page by task")
FIRST_PAGE_SECONDS = 60.0

Times = dict[str, list[float]]


def measure_report(*, quick: bool = False) -> Report:
    """Measure on both databases and return the report."""
    large = QUICK_LARGE if quick else LARGE
    report = Report("table_size", "A ledger that remembers much")
    for system in (systems.PERDURE_SQLITE, systems.PERDURE_POSTGRES):
        with serving() as servers:
            measure(system, servers, large, report, quick=quick)
    return report


def measure(system: systems.System, servers: Servers, large: int, report: Report, *, quick: bool) -> None:
    """Add one database's figures to the report."""
    with opened(small_url(system, servers)) as small:
        fill(small, SMALL)
        subject = Subject(system, servers)
        url = subject.environment["PERDURE_LEDGER_URL"]
        with opened(url) as big:
            fill(big, large, int(large * (QUICK_OLD_PART if quick else OLD_PART)))
            times = in_turn({SMALL: small, large: big}, QUICK_ROUNDS if quick else ROUNDS)
    plain, beside, pruned = drains(subject, QUICK_DRAINS if quick else DRAINS, QUICK_DRAIN_JOBS if quick else DRAIN_JOBS)
    table = Table(f"{system.name}: ms, median", ["", f"{SMALL:,} jobs", f"{large:,} jobs", "ratio"])
    for step in times[SMALL]:
        few, many = (statistics.median(times[size][step]) for size in (SMALL, large))
        table.rows.append([step, f"{few * 1000:.2f}", f"{many * 1000:.2f}", number(many / few)])
        if step in BOUNDED:
            report.targets.append(Target(f"{system.name}: {step}, {large:,} / {SMALL:,}", many / few, 1.2, at_least=False))
    draining = Table(f"{system.name}: drain/s on {large:,} jobs", ["alone", "beside pruning", "ratio", "pruned meanwhile"])
    draining.rows.append([spread(plain), spread(beside), number(ratio(beside, plain)), f"{pruned * PRUNED_AT_ONCE:,}"])
    report.targets.append(Target(f"{system.name}: drain beside pruning / alone", ratio(beside, plain), 0.9))
    report.tables += [table, draining]
    report.data[system.name] = {
        "steps": {str(size): each for size, each in times.items()},
        "drain": plain,
        "pruning": beside,
    }


def small_url(system: systems.System, servers: Servers) -> str:
    """Return the URL of another ledger of the same kind."""
    if system.ledger == "sqlite":
        return f"sqlite:///{servers.folder / 'small.db'}"
    return servers.addresses("small")[1]


def in_turn(ledgers: dict[int, Ledger], rounds: int) -> dict[int, Times]:
    """Run the steps of some jobs on each ledger in turn; return the seconds of each, by the ledger's size and the step."""
    times: dict[int, Times] = {size: {} for size in ledgers}
    for round_number in range(rounds + 10):
        for size, ledger in ledgers.items():
            for name, step in steps(ledger, new_job):
                began = time.perf_counter()
                step()
                if round_number >= 10:  # statements are prepared, pages are in memory
                    times[size].setdefault(name, []).append(time.perf_counter() - began)
    return times


def drains(subject: Subject, rounds: int, jobs: int, period: float | None = None) -> tuple[list[float], list[float], int]:
    """Drain with and without pruning in turn; return the rates without, with, and how many pages were pruned meanwhile.

    Args:
        subject: what drains.
        rounds: turns that count; one before does not.
        jobs: of a drain.
        period: see :func:`benchmarks.ledgers.prune_all`.
    """
    rates: dict[bool, list[float]] = {False: [], True: []}
    pages = multiprocessing.get_context("spawn").Value("q", 0)
    with subject.driving() as driver, subject.working() as tree:
        for round_number in range(rounds + 1):
            for beside in (False, True):
                print(f"{subject.system.name}: drain {round_number}, pruning: {beside}", file=sys.stderr)
                with pruning(subject, pages, period) if beside else nullcontext():
                    began = time.monotonic()
                    driver.begin(jobs)
                    drain = subject.await_done(subject.take(0), began, tree)
                    driver.answer()
                if round_number:
                    rates[beside].append(drain.rate)
    return rates[False], rates[True], pages.value


@contextmanager
def pruning(subject: Subject, pages: Synchronized[int], period: float | None) -> Iterator[None]:
    """Prune in another process until the end of the block, from before its beginning."""
    urls = (subject.environment[f"PERDURE_{which}"] for which in ("LEDGER_URL", "BROKER_URL", "HOME"))
    before, give_up_at = pages.value, time.monotonic() + FIRST_PAGE_SECONDS
    process = multiprocessing.get_context("spawn").Process(target=prune_all, args=(*urls, pages, period), daemon=True)
    process.start()
    while pages.value == before:
        if not process.is_alive() or time.monotonic() > give_up_at:
            raise Lost("nothing was pruned: there is nothing old left, or it takes too long")
        time.sleep(0.05)
    try:
        yield
    finally:
        process.terminate()
        process.join()
        process.close()
