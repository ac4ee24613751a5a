"""Jobs that sleep, drained by 1, 2 and 4 children and by 1 and 2 worker processes: perdure and plain Celery.

    python -m benchmarks scaling [--quick]

They use hardly any CPU, so that what grows is the number of those who wait for one another, not the load of the cores.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.report import Report, Table, Target, ratio, spread
from benchmarks.servers import serving
from benchmarks.trial import Subject

SYSTEMS = (systems.PERDURE_SQLITE, systems.PERDURE_POSTGRES, systems.CELERY_EVENTS)
#: Worker processes, and children of each.
SHAPES = ((1, 1), (1, 2), (1, 4), (2, 2))
SECONDS = (0.005, 0.1)


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds, and seconds that a drain takes at best."""

    rounds: int = 2
    drain: float = 3.0


QUICK = Plan(rounds=1, drain=0.5)

#: Rates of each round, by the system's name, the seconds of a job, and the shape.
Rates = dict[tuple[str, float, tuple[int, int]], list[float]]


def measure_report(*, quick: bool = False) -> Report:
    """Drain in all shapes, in turn, and return the report."""
    plan = QUICK if quick else Plan()
    rates: Rates = {}
    with serving() as servers:
        subjects = [Subject(system, servers) for system in SYSTEMS]
        for round_number in range(plan.rounds):
            for shape in SHAPES:
                for subject in subjects:
                    print(f"round {round_number + 1}: {shape[0]} x {shape[1]}, {subject.system.name}", file=sys.stderr)
                    for seconds, rate in drains(subject, shape, plan).items():
                        rates.setdefault((subject.system.name, seconds, shape), []).append(rate)
        for subject in subjects:
            subject.check()
    return described(rates)


def drains(subject: Subject, shape: tuple[int, int], plan: Plan) -> dict[float, float]:
    """Return the jobs a second of each kind of job, by its seconds."""
    processes, children = shape
    found = {}
    with subject.driving() as driver, subject.working(processes, children) as tree:
        driver.many(10 * processes * children)  # until these have run, not all children are there
        subject.await_done(subject.take(0), time.monotonic(), tree)
        for seconds in SECONDS:
            began = time.monotonic()
            driver.begin(max(20, int(plan.drain / seconds) * processes * children), seconds)
            found[seconds] = subject.await_done(subject.take(0), began, tree).whole
            driver.answer()
    return found


def described(rates: Rates) -> Report:
    """Return the report of all rates."""
    report = Report("scaling", "More children, more workers")
    report.notes = ["Jobs that sleep; jobs a second, and how near that is to the children's number over a job's seconds."]
    for seconds in SECONDS:
        table = Table(f"jobs of {seconds * 1000:g} ms", ["workers x children", *(system.name for system in SYSTEMS)])
        for processes, children in SHAPES:
            cells = []
            for system in SYSTEMS:
                found = rates[system.name, seconds, (processes, children)]
                best = processes * children / seconds
                cells.append(f"{spread(found)}, {statistics.median(found) / best:.0%}")
            table.rows.append([f"{processes} x {children}", *cells])
        report.tables.append(table)
    for system in SYSTEMS[:2]:
        report.targets += targets(system.name, rates)
    report.data = {f"{name}, {seconds:g} s, {a} x {b}": found for (name, seconds, (a, b)), found in rates.items()}
    return report


def targets(ours: str, rates: Rates) -> list[Target]:
    """Return how one of ours grows, and how it compares with Celery when jobs take 100 ms."""
    celery = systems.CELERY_EVENTS.name

    def grows(few: tuple[int, int], many: tuple[int, int], times: int) -> float:
        return ratio(rates[ours, SECONDS[0], many], rates[ours, SECONDS[0], few]) / times

    found = [
        Target(f"{ours}: 1 to 2 children, of proportion", grows((1, 1), (1, 2), 2), 0.9),
        Target(f"{ours}: 2 to 4 children, of proportion", grows((1, 2), (1, 4), 2), 0.9),
        Target(f"{ours}: 1 to 2 workers, of proportion", grows((1, 2), (2, 2), 2), 0.9),
    ]
    slow = SECONDS[1]
    return found + [
        Target(
            f"{ours}: jobs of 100 ms, {a} x {b} / Celery",
            ratio(rates[ours, slow, (a, b)], rates[celery, slow, (a, b)]),
            1.0,
        )
        for a, b in SHAPES
    ]
