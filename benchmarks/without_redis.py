"""Milliseconds from submit to start while Redis is away: perdure alone goes on without its broker.

    python -m benchmarks without_redis [--quick]

One job at a time to an idle worker; Redis is stopped before the first and comes back after the last.
"""

from __future__ import annotations

import time

from benchmarks import systems
from benchmarks.peers.effects import LOST_AFTER_SECONDS
from benchmarks.report import Report, Table, Target, number
from benchmarks.servers import serving
from benchmarks.trial import Lost, Subject, quantiles

JOBS, BUDGET_SECONDS = 100, 40.0
QUICK_JOBS, QUICK_BUDGET_SECONDS = 5, 6.0
#: What the first seconds without Redis cost, while connections time out, is not the pace that is asked for.
SETTLING_JOBS = 3
#: Between two jobs while Redis is away: as long as it takes workers to look again, so that jobs come at any moment of it.
PAUSE_SECONDS = 1.0


def measure_report(*, quick: bool = False) -> Report:
    """Measure on both databases and return the report."""
    jobs, budget = (QUICK_JOBS, QUICK_BUDGET_SECONDS) if quick else (JOBS, BUDGET_SECONDS)
    report = Report("without_redis", "While Redis is away")
    report.notes = [f"Up to {jobs} jobs, one at a time. The last column but one is the time after Redis is back."]
    table = Table(
        "submit to start", ["", "with Redis p50, ms", "p99, ms", "without p50, ms", "p99, ms", "back p50, ms", "jobs"]
    )
    for system in (systems.PERDURE_SQLITE, systems.PERDURE_POSTGRES):
        try:
            before, without, back = latencies(system, jobs, budget)
        except Lost:
            table.rows.append([system.name, "-", "-", "no job started", "-", "-", "0"])
            middle = LOST_AFTER_SECONDS
        else:
            cells = (*quantiles(before), *quantiles(without), quantiles(back)[0])
            table.rows.append([system.name, *(number(value) for value in cells), str(len(without))])
            report.data[system.name] = {"with": before, "without": without, "back": back}
            middle = quantiles(without)[0] / 1000
        report.targets.append(Target(f"{system.name}: without Redis, p50", middle, 0.6, "s", at_least=False))
    report.tables.append(table)
    return report


def latencies(system: systems.System, jobs: int, budget: float) -> tuple[list[float], list[float], list[float]]:
    """Return the milliseconds from submit to start with Redis, without it, and after it is back.

    Raises:
        Lost: a job did not start.
    """
    with serving() as servers:
        subject = Subject(system, servers)
        with subject.driving() as driver, subject.working() as tree:
            driver.many(10)
            subject.await_done(subject.take(0), time.monotonic(), tree)
            before = driver.latency(jobs, budget)
            servers.redis.stop()
            driver.latency(SETTLING_JOBS, budget)
            without = driver.latency(jobs, budget, PAUSE_SECONDS)
            servers.redis.start()
            driver.latency(SETTLING_JOBS, budget)
            back = driver.latency(jobs, budget)
        subject.check()
    return before, without, back
