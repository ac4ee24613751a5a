"""History in partitions on PostgreSQL: the ledger's steps beside it, a drain beside archiving, and what pruning takes.

    python -m benchmarks partitions [--quick]

10,000,000 finished jobs (``BENCH_JOBS``) are written into partitions by the database itself. The same steps are run on a
ledger of 1,000 jobs without partitions and on this one in turn. The oldest partition, of 1,000,000 jobs, is dropped. Then
real workers drain jobs, with and without a process that archives.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict

from benchmarks import systems
from benchmarks.ledgers import DAY, archive_all, fill, fill_partitions, opened
from benchmarks.report import Report, Table, Target, number
from benchmarks.servers import serving
from benchmarks.table_size import BOUNDED, LARGE, SMALL, drains, in_turn, small_url
from benchmarks.trial import Subject
from perdure.ledger import Ledger
from perdure_workers.supervisor.duties.rotate import PAGE, REST

PARTITION, QUICK_PARTITION = 1_000_000, 20_000
QUICK_LARGE = 100_000
#: Jobs that have succeeded and are to be archived.
TO_ARCHIVE, QUICK_TO_ARCHIVE = 300_000, 50_000
#: Archived without a rest between pages, to see how fast it can be.
AT_ONCE, QUICK_AT_ONCE = 50_000, 5_000
ROUNDS, QUICK_ROUNDS = 300, 50


def measure_report(*, quick: bool = False) -> Report:
    """Measure and return the report."""
    report = Report("partitions", "History in partitions on PostgreSQL")
    large, of_one = (QUICK_LARGE, QUICK_PARTITION) if quick else (LARGE, PARTITION)
    with serving() as servers:
        subject = Subject(systems.PERDURE_POSTGRES, servers)
        small = opened(small_url(systems.PERDURE_POSTGRES, servers))
        with small as without, opened(subject.environment["PERDURE_LEDGER_URL"]) as ledger:
            fill(without, SMALL)
            fill(ledger, QUICK_TO_ARCHIVE if quick else TO_ARCHIVE)
            fill_partitions(ledger, of_one, large // of_one, old=1)
            times = in_turn({SMALL: without, large: ledger}, QUICK_ROUNDS if quick else ROUNDS)
            dropped = drop_oldest(ledger)
            rate = archive(ledger, QUICK_AT_ONCE if quick else AT_ONCE)
        drained = drains(subject, quick=quick, prune=archive_all)
    table = Table("ms, median", ["", f"{SMALL:,} jobs", f"{large:,} jobs in {large // of_one} partitions", "ratio"])
    for step in times[SMALL]:
        few, many = (statistics.median(times[size][step]) for size in (SMALL, large))
        table.rows.append([step, f"{few * 1000:.2f}", f"{many * 1000:.2f}", number(many / few)])
        if step in BOUNDED:
            report.targets.append(Target(f"{step}, {large:,} in partitions / {SMALL:,}", many / few, 1.2, at_least=False))
    draining = drained.table("drains", "archiving", PAGE)
    pruning = Table("pruning", ["jobs in a partition", "dropped in, s", "archived without rest, jobs/s"])
    pruning.rows.append([f"{of_one:,}", f"{dropped:.3f}", number(rate)])
    report.tables += [table, draining, pruning]
    report.targets.append(Target(f"pruning {of_one:,} jobs", dropped, 1.0, "s", at_least=False))
    report.targets.append(Target("drain beside archiving / alone", drained.ratio, 0.9))
    report.data = {"steps": {str(size): each for size, each in times.items()}, "drains": asdict(drained)}
    return report


def drop_oldest(ledger: Ledger) -> float:
    """Drop the oldest partition; return the seconds that it took."""
    oldest = ledger.partitions.existing()[0]
    began = time.monotonic()
    ledger.partitions.drop(oldest.until)
    return time.monotonic() - began


def archive(ledger: Ledger, jobs: int) -> float:
    """Archive so many jobs page by page; return how many a second."""
    after, moved, began = "", 0, time.monotonic()
    while moved < jobs and (page := ledger.partitions.archive(DAY, REST, after, PAGE)):
        after, moved = max(page), moved + len(page)
    return moved / (time.monotonic() - began)
