"""PostgreSQL in trouble: a transaction held open for minutes, and a restart under load.

    python -m benchmarks pinned [--quick]

An open transaction (a dump, a forgotten session, an idle replication slot) keeps PostgreSQL from removing any row version
that it could see, so queues on one table slow down. ``BENCH_MINUTES`` and ``BENCH_RATE`` set how long it is held and how
many jobs a second are submitted meanwhile. Drains before and at the end are compared, in the same worker. History is in
partitions, so that dead rows are thrown away; ``BENCH_PARTITIONS=0`` measures without.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg

from benchmarks import systems
from benchmarks.processes import Tree
from benchmarks.report import Report, Table, Target, number, spread
from benchmarks.servers import SQLALCHEMY_DRIVER, Servers, serving
from benchmarks.trial import RUN_IN, Driver, Subject
from perdure_workers.supervisor.duties.rotate import REST


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        minutes: for which the transaction is held.
        rate: jobs a second meanwhile.
        drains: at each end.
        jobs: of a drain.
        backlog: jobs that wait when PostgreSQL restarts.
        samples: of the time between.
    """

    minutes: float = float(os.environ.get("BENCH_MINUTES", "3"))
    rate: float = float(os.environ.get("BENCH_RATE", "500"))
    drains: int = 9
    jobs: int = 10_000
    backlog: int = 120_000
    samples: int = 12


QUICK = Plan(minutes=0.15, rate=200, drains=1, jobs=1_000, backlog=40_000, samples=2)
#: Seconds over which a rate is taken after a restart; and the part of the rate before that counts as full.
WINDOW_SECONDS, FULL = 0.5, 0.9
BEFORE_RESTART_SECONDS = 2.0
RESTART_TIMEOUT_SECONDS = 60.0

#: Seconds that a partition of history holds; None: there are none, and nothing bounds the rows that die.
PARTITIONS = None if os.environ.get("BENCH_PARTITIONS") == "0" else 3600
#: Dead row versions that there may be at any time, however long the transaction is held: some of each table that has any.
BOUND = 500_000

DEAD_TUPLES = "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables WHERE relname LIKE 'perdure%'"
SIZE = "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) / 1e6 FROM pg_stat_user_tables WHERE relname LIKE 'perdure%'"


@dataclass
class Sample:
    """One look while the transaction is open: minutes since its begin, jobs that wait, dead row versions, MB."""

    minutes: float
    waiting: int
    dead: int
    megabytes: float


@dataclass
class Pinned:
    """What a held transaction did."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    released: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


def measure_report(*, quick: bool = False) -> Report:
    """Measure both and return the report."""
    plan = QUICK if quick else Plan()
    report = Report("pinned", "PostgreSQL in trouble")
    with serving() as servers:
        subject = Subject(systems.PERDURE_POSTGRES, servers)
        if PARTITIONS:
            subject.environment["PERDURE_PARTITION_PERIOD"] = str(PARTITIONS)
        with subject.driving() as driver, subject.working() as tree:
            describe_pinned(report, plan, held(subject, driver, tree, plan))
    modes: tuple[Literal["fast", "immediate"], ...] = ("fast", "immediate")
    restarts = {mode: restarted(plan, mode) for mode in modes}
    describe_restarts(report, restarts)
    return report


def held(subject: Subject, driver: Driver, tree: Tree, plan: Plan) -> Pinned:
    """Drain, hold a transaction open while jobs come in and run, drain, let go, drain."""
    found = Pinned()
    drains(subject, driver, tree, 1, plan.jobs)  # not counted: children start, statements are prepared
    if PARTITIONS:
        time.sleep(REST)  # until what it did is archived beside the next ones, as it is beside those to come
    found.before = drains(subject, driver, tree, plan.drains, plan.jobs)
    with connected(subject) as holder:
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT txid_current()")  # an id of its own, so that the horizon stays where it is
        began, count = time.monotonic(), int(plan.rate * plan.minutes * 60)
        first = subject.take(count)
        driver.tell("steady", first=first, count=count, rate=plan.rate)
        for at in range(1, plan.samples + 1):
            time.sleep(max(0.0, began + plan.minutes * 60 * at / plan.samples - time.monotonic()))
            passed = time.monotonic() - began
            found.samples.append(sample(subject, passed, first + min(count, int(passed * plan.rate))))
            print(f"pinned: {found.samples[-1]}", file=sys.stderr)
        driver.answer()
        if subject.done() < first + count:
            subject.await_done(first + count, time.monotonic(), tree)
        found.after = drains(subject, driver, tree, plan.drains, plan.jobs)
    found.released = drains(subject, driver, tree, plan.drains, plan.jobs)
    subject.check()
    return found


def drains(subject: Subject, driver: Driver, tree: Tree, times: int, jobs: int) -> list[float]:
    """Return the rates of some drains, each submitted in bulk to workers that run."""
    rates = []
    for _ in range(times):
        began = time.monotonic()
        driver.begin(jobs)
        rates.append(subject.await_done(subject.take(0), began, tree).rate)
        driver.answer()
    return rates


@contextmanager
def connected(subject: Subject) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to the ledger's database that begins no transaction by itself."""
    url = subject.environment["PERDURE_LEDGER_URL"].replace(SQLALCHEMY_DRIVER, "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def sample(subject: Subject, passed: float, submitted: int) -> Sample:
    """Look at the tables, and at the jobs that should have run."""
    with connected(subject) as connection:
        dead, megabytes = (connection.execute(query).fetchone() for query in (DEAD_TUPLES, SIZE))
    assert dead is not None
    assert megabytes is not None
    return Sample(passed / 60, max(0, submitted - subject.done()), int(dead[0]), float(megabytes[0]))


def describe_pinned(report: Report, plan: Plan, found: Pinned) -> None:
    """Add the table and the targets of a held transaction."""
    report.notes.append(
        f"A transaction is held open for {plan.minutes:g} minutes while {plan.rate:g} jobs a second come in."
    )
    rates = Table("drain/s", ["before", "at the end, still held", "after it was let go"])
    rates.rows.append([spread(found.before), spread(found.after), spread(found.released)])
    looks = Table("while it is held", ["minutes", "jobs that wait", "dead row versions", "tables and indexes, MB"])
    looks.rows += [[f"{s.minutes:.1f}", f"{s.waiting:,}", f"{s.dead:,}", f"{s.megabytes:.0f}"] for s in found.samples]
    report.tables += [rates, looks]
    ratio = statistics.median(found.after) / statistics.median(found.before)
    report.targets.append(Target(f"drain after {plan.minutes:g} minutes of a held transaction / before", ratio, 0.95))
    if PARTITIONS:
        most = max(each.dead for each in found.samples)
        report.targets.append(Target("dead row versions at most, while it is held", most, BOUND, at_least=False))
    report.data["pinned"] = {"before": found.before, "after": found.after, "released": found.released}
    report.data["samples"] = [vars(each) for each in found.samples]


@dataclass(frozen=True)
class Restart:
    """What a restart did.

    Attributes:
        rate: jobs a second before.
        away: seconds without PostgreSQL.
        back: seconds after that until the rate was back, or for which it was waited for in vain.
        came_back: whether it was.
    """

    rate: float
    away: float
    back: float
    came_back: bool


def restarted(plan: Plan, mode: Literal["fast", "immediate"]) -> Restart:
    """Restart PostgreSQL while a backlog is drained."""
    with serving() as servers:
        subject = Subject(systems.PERDURE_POSTGRES, servers)
        with subject.driving() as driver:
            driver.many(plan.backlog)
            with subject.working(), watched(subject) as looks:
                subject.await_some(int(plan.backlog * RUN_IN))  # until all children are there
                time.sleep(BEFORE_RESTART_SECONDS)
                rate = rate_between(looks, time.monotonic() - BEFORE_RESTART_SECONDS / 2, time.monotonic())
                away = restart(servers, mode)
                up = time.monotonic()
                give_up_at = up + RESTART_TIMEOUT_SECONDS
                while rate_between(looks, time.monotonic() - WINDOW_SECONDS, time.monotonic()) < FULL * rate:
                    if time.monotonic() > give_up_at or subject.done() >= plan.backlog:
                        return Restart(rate, away, time.monotonic() - up, came_back=False)
                    time.sleep(0.02)
                return Restart(rate, away, max(0.0, time.monotonic() - WINDOW_SECONDS - up), came_back=True)


def restart(servers: Servers, mode: Literal["fast", "immediate"]) -> float:
    """Stop and start PostgreSQL; return the seconds that it was away."""
    began = time.monotonic()
    servers.postgres.stop(mode)
    servers.postgres.start()
    return time.monotonic() - began


Looks = list[tuple[float, int]]


@contextmanager
def watched(subject: Subject) -> Iterator[Looks]:
    """Yield a list that grows by how many jobs are done, again and again, until the end of the block."""
    looks: Looks = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            looks.append((time.monotonic(), subject.done()))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def rate_between(looks: Sequence[tuple[float, int]], since: float, until: float) -> float:
    """Return the jobs a second between two moments."""
    some = [look for look in looks if since <= look[0] <= until]
    if len(some) < 2:
        return 0.0
    return (some[-1][1] - some[0][1]) / (some[-1][0] - some[0][0])


def describe_restarts(report: Report, restarts: dict[Literal["fast", "immediate"], Restart]) -> None:
    """Add the table and the targets of restarts."""
    titles = {"fast": "stopped in order", "immediate": "stopped at once, as by a crash"}
    table = Table("PostgreSQL restarts under load", ["", "drain/s before", "away, s", "then until the rate is back, s"])
    for mode, found in restarts.items():
        back = number(found.back) if found.came_back else f"not within {number(found.back)}"
        table.rows.append([titles[mode], number(found.rate), number(found.away), back])
        seconds = found.back if found.came_back else RESTART_TIMEOUT_SECONDS
        what = f"PostgreSQL {titles[mode]}: until {FULL:.0%} of the rate"
        report.targets.append(Target(what, seconds, 5, "s", at_least=False))
        report.data[f"restart, {mode}"] = vars(found)
    report.tables.append(table)
