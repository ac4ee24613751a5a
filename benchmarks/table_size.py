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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.sharedctypes import Synchronized

from benchmarks import systems
from benchmarks.ledgers import PRUNED_AT_ONCE, fill, new_job, opened, prune_all, steps
from benchmarks.processes import Tree
from benchmarks.report import Report, Table, Target, number, spread
from benchmarks.servers import Servers, serving
from benchmarks.trial import Driver, Lost, Subject
from perdure.ledger import Ledger

SMALL = 1_000
LARGE = int(os.environ.get("BENCH_JOBS", "10000000"))
QUICK_LARGE = 200_000
#: Of the large ledger, the part that is due to be pruned.
OLD_PART, QUICK_OLD_PART = 0.1, 0.5
ROUNDS, QUICK_ROUNDS = 300, 50
#: Many short ones: what else the machine does takes more of a drain than pruning does.
DRAINS, QUICK_DRAINS = 15, 1
DRAIN_JOBS, QUICK_DRAIN_JOBS = 15_000, 1_000
#: A busy platform: jobs that come, and are to be pruned, in a second.
STEADY = 500
STEADY_SECONDS = 10.0
#: Steps whose growth is bounded.
BOUNDED = ("submit", "claim", "settle", "list a page", "list a page by state", "list a page by task")
#: The first pages take longer, and so do the rests after them.
WARM_PAGES = 5
WARM_SECONDS = 60.0

Times = dict[str, list[float]]
Prune = Callable[[str, str, str, "Synchronized[int]"], None]


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
    drained = drains(subject, quick=quick)
    table = Table(f"{system.name}: ms, median", ["", f"{SMALL:,} jobs", f"{large:,} jobs", "ratio"])
    for step in times[SMALL]:
        few, many = (statistics.median(times[size][step]) for size in (SMALL, large))
        table.rows.append([step, f"{few * 1000:.2f}", f"{many * 1000:.2f}", number(many / few)])
        if step in BOUNDED:
            report.targets.append(Target(f"{system.name}: {step}, {large:,} / {SMALL:,}", many / few, 1.2, at_least=False))
    draining = drained.table(f"{system.name}: on {large:,} jobs", "pruning", PRUNED_AT_ONCE[system.ledger or ""])
    report.targets.append(Target(f"{system.name}: drain beside pruning / alone", drained.ratio, 0.9))
    report.tables += [table, draining]
    report.data[system.name] = {
        "steps": {str(size): each for size, each in times.items()},
        "drains": asdict(drained),
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


@dataclass
class Drains:
    """Drains with and without pruning in turn.

    Attributes:
        alone: jobs/s without.
        beside: jobs/s with.
        pages: pruned beside drains, in ``seconds``.
        steady: pages pruned a second beside :data:`STEADY` jobs a second.
        idle: the same, while there is nothing else to do.
    """

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    pages: int = 0
    seconds: float = 0.0
    steady: float = 0.0
    idle: float = 0.0

    @property
    def ratio(self) -> float:
        """The median beside pruning to the median alone: what else a machine does spoils single rounds."""
        return statistics.median(self.beside) / statistics.median(self.alone)

    def table(self, title: str, what: str, page: int) -> Table:
        """Return what was found.

        Args:
            title: the table's.
            what: is done beside the drains.
            page: jobs in a page.
        """
        paces = [pages * page for pages in (self.pages / self.seconds, self.steady, self.idle)]
        head = ["drain/s alone", f"beside {what}", "ratio", f"{what}, jobs", "a second", f"at {STEADY} jobs/s", "idle"]
        found = [spread(self.alone), spread(self.beside), number(self.ratio), f"{self.pages * page:,}"]
        found += [f"{number(pace)} (a million in {1e6 / pace / 60:.0f} min)" if pace else "-" for pace in paces]
        return Table(title, head, [found])


def drains(subject: Subject, *, quick: bool, prune: Prune = prune_all) -> Drains:
    """Drain with and without pruning in turn, either first in every other round; a round before that does not count.

    Args:
        subject: what drains.
        quick: a single round.
        prune: what another process does beside every other one; see :func:`benchmarks.ledgers.prune_all`.
    """
    found = Drains()
    rounds, jobs, seconds = (QUICK_DRAINS, QUICK_DRAIN_JOBS, 2.0) if quick else (DRAINS, DRAIN_JOBS, STEADY_SECONDS)
    with subject.driving() as driver, subject.working() as tree:
        drain(subject, driver, tree, jobs)
        for round_number in range(rounds):
            for beside in (round_number % 2 == 0, round_number % 2 == 1):
                print(f"{subject.system.name}: drain {round_number}, pruning: {beside}", file=sys.stderr)
                if not beside:
                    found.alone.append(drain(subject, driver, tree, jobs))
                    continue
                with pruning(subject, prune) as count:
                    began = time.monotonic()
                    found.beside.append(drain(subject, driver, tree, jobs))
                    found.pages += count()
                    found.seconds += time.monotonic() - began
        with pruning(subject, prune) as count:
            stream(driver, seconds)
            found.steady = count() / seconds
        with pruning(subject, prune) as count:
            time.sleep(seconds)
            found.idle = count() / seconds
    return found


def drain(subject: Subject, driver: Driver, tree: Tree, jobs: int) -> float:
    """Submit jobs and wait for their end; return how many a second."""
    began = time.monotonic()
    driver.begin(jobs)
    drained = subject.await_done(subject.take(0), began, tree)
    driver.answer()
    return drained.rate


def stream(driver: Driver, seconds: float) -> None:
    """Submit :data:`STEADY` jobs a second."""
    began = time.monotonic()
    for tenth in range(int(seconds * 10)):
        time.sleep(max(0.0, began + tenth / 10 - time.monotonic()))
        driver.many(STEADY // 10)


@contextmanager
def pruning(subject: Subject, prune: Prune) -> Iterator[Callable[[], int]]:
    """Prune in another process until the end of the block, from before its beginning; yield what counts its pages."""
    urls = (subject.environment[f"PERDURE_{which}"] for which in ("LEDGER_URL", "BROKER_URL", "HOME"))
    spawning, give_up_at = multiprocessing.get_context("spawn"), time.monotonic() + WARM_SECONDS
    pages = spawning.Value("q", 0)
    process = spawning.Process(target=prune, args=(*urls, pages), daemon=True)
    process.start()
    while pages.value < WARM_PAGES:
        if not process.is_alive() or time.monotonic() > give_up_at:
            raise Lost("hardly anything was pruned: there is nothing old left, or it takes too long")
        time.sleep(0.05)
    before = pages.value
    try:
        yield lambda: pages.value - before
    finally:
        process.terminate()
        process.join()
        process.close()
