"""perdure beside its peers: the same small job, the same servers, two worker children each, in turn.

    python -m benchmarks compare [--quick]

Each system has its own environment, its own database on the same Redis and PostgreSQL, and its turn in each round: it
submits to nobody, its workers start and drain what waits, then they drain what is submitted meanwhile. In the last round
they are idle for a while.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks import systems
from benchmarks.environments import CannotInstall
from benchmarks.processes import Tree
from benchmarks.report import Report, Table, Target, number, ratio, spread
from benchmarks.servers import Servers, serving
from benchmarks.systems import System
from benchmarks.trial import Driver, Lost, Subject, quantiles

Rounds = dict[str, list[float]]

#: Figures of which more is better; of the others, less.
RATES = ("submit", "bulk", "drain", "running")
TITLES = {
    "submit": "submit/s",
    "bulk": "bulk submit/s",
    "drain": "drain/s",
    "running": "drain/s while submitted",
    "start": "start to first job, s",
    "cpu": "CPU s / 1,000 jobs",
    "pss": "worker tree PSS, MB",
    "p50": "idle submit to start p50, ms",
    "p99": "p99, ms",
    "idle_cpu": "idle worker, % of a core",
    "idle_sql": "idle PostgreSQL transactions/s",
    "idle_redis": "idle Redis commands/s",
}
#: What is set beside each peer, under shorter titles.
BESIDE = {
    "submit": "submit",
    "bulk": "bulk submit",
    "drain": "drain",
    "running": "drain while submitted",
    "cpu": "CPU a job",
    "pss": "PSS",
    "start": "start",
    "p50": "latency",
}
THROUGHPUT = ("submit", "bulk", "drain", "running", "start")
COST = ("cpu", "pss", "p50", "p99", "idle_cpu", "idle_sql", "idle_redis")


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: that count; the full form has one before them that does not.
        ones: jobs submitted one by one.
        drain: seconds that a drain should take.
        latencies: jobs submitted one at a time.
        latency_budget: seconds after which no further one is.
        idle: seconds of doing nothing.
    """

    rounds: int = 3
    ones: int = 300
    drain: float = 3.0
    latencies: int = 200
    latency_budget: float = 12.0
    idle: float = 20.0


QUICK = Plan(rounds=1, drain=1.0, latencies=60, latency_budget=4.0, idle=3.0)
#: Jobs of a drain before the rate is known.
FIRST_DRAIN = 500
MOST_JOBS = 20_000


@dataclass
class Contender:
    """A system that takes part, and its figures of each round."""

    subject: Subject
    rounds: Rounds = field(default_factory=lambda: defaultdict(list))
    rate: float = 0.0

    def turn(self, plan: Plan, *, calm: bool) -> dict[str, float]:
        """Submit, drain and, when it is the last turn, be idle; return the figures."""
        found: dict[str, float] = {}
        self.subject.servers.settle()
        with self.subject.driving() as driver:
            driver.warm()
            found["submit"] = driver.one(plan.ones)
            backlog = self._jobs(plan)
            bulk = driver.many(backlog)
            if self.subject.bulk:
                found["bulk"] = bulk
            began = time.monotonic()
            with self.subject.working() as tree:
                drain = self.subject.await_done(self.subject.take(0), began, tree)
                self.rate = drain.rate
                found |= {"drain": drain.rate, "cpu": drain.cpu, "start": drain.first, "pss": tree.pss()}
                found["running"] = self._drain_while_submitted(driver, tree, self._jobs(plan))
                if calm:
                    found |= self._calm(driver, tree, plan)
        self.subject.check()
        return found

    def _jobs(self, plan: Plan) -> int:
        return int(min(max(self.rate * plan.drain, FIRST_DRAIN), MOST_JOBS))

    def _drain_while_submitted(self, driver: Driver, tree: Tree, count: int) -> float:
        began = time.monotonic()
        driver.begin(count)
        drain = self.subject.await_done(self.subject.take(0), began, tree)
        driver.answer()
        return drain.whole

    def _calm(self, driver: Driver, tree: Tree, plan: Plan) -> dict[str, float]:
        p50, p99 = quantiles(driver.latency(plan.latencies, plan.latency_budget))
        servers = self.subject.servers
        transactions, commands = servers.statements()
        cpu, began = tree.cpu(), time.monotonic()
        time.sleep(plan.idle)
        used, after = tree.cpu() - cpu, servers.statements()
        seconds = time.monotonic() - began
        return {
            "p50": p50,
            "p99": p99,
            "idle_cpu": used / plan.idle * 100,
            "idle_sql": (after[0] - transactions) / seconds,
            "idle_redis": (after[1] - commands) / seconds,
        }


def measure_report(*, quick: bool = False, only: Sequence[str] = ()) -> Report:
    """Compare all systems, or those whose names contain one of the words."""
    plan = QUICK if quick else Plan()
    report = Report("compare", "perdure and its peers")
    with serving() as servers:
        wanted = [system for system in systems.ALL if not only or any(word.lower() in system.name.lower() for word in only)]
        contenders = entered(wanted, servers, report)
        for number_of_round in range(plan.rounds + (not quick)):
            counts = quick or number_of_round > 0
            calm = number_of_round == plan.rounds - quick
            for contender in list(contenders):
                print(f"round {number_of_round + quick}: {contender.subject.system.name}", file=sys.stderr)
                try:
                    found = contender.turn(plan, calm=calm)
                except Lost as failure:
                    report.notes.append("Left out: " + str(failure).splitlines()[0].removesuffix(" Its processes say:"))
                    print(failure, file=sys.stderr)
                    contenders.remove(contender)
                    continue
                for figure, value in found.items() if counts else ():
                    contender.rounds[figure].append(value)
    rounds = {contender.subject.system.name: dict(contender.rounds) for contender in contenders}
    report.data = {"rounds": rounds, "durable": {c.subject.system.name: c.subject.system.durable for c in contenders}}
    describe(report)
    return report


def entered(wanted: Sequence[System], servers: Servers, report: Report) -> list[Contender]:
    """Return those that can be installed; the report says why the others cannot."""
    contenders = []
    for system in wanted:
        try:
            contenders.append(Contender(Subject(system, servers)))
        except CannotInstall as reason:
            report.notes.append(f"Left out: {system.name} could not be installed ({reason}).")
            print(report.notes[-1], file=sys.stderr)
    return contenders


def describe(report: Report) -> None:
    """Fill the report's tables and targets from its rounds."""
    rounds: dict[str, Rounds] = report.data["rounds"]
    durable = report.data["durable"]
    throughput = Table("throughput", ["", *(TITLES[figure] for figure in THROUGHPUT), "survives a kill"])
    cost = Table("cost and latency", ["", *(TITLES[figure] for figure in COST)])
    for name, figures in rounds.items():
        throughput.rows.append([name, *(spread(figures.get(figure, [])) for figure in THROUGHPUT), durable[name]])
        cost.rows.append([name, *(spread(figures.get(figure, [])) for figure in COST)])
    report.tables = [throughput, cost]
    for ours in (systems.PERDURE_SQLITE.name, systems.PERDURE_POSTGRES.name):
        if ours in rounds:
            report.tables.append(beside(ours, rounds))
            with suppress(KeyError):  # of a run that was told to leave out some
                report.targets += targets(ours, rounds)


def beside(ours: str, rounds: dict[str, Rounds]) -> Table:
    """Return how many times as good as each peer one of ours is."""
    figures = tuple(BESIDE)
    table = Table(f"{ours}: times as good as each peer", ["", *(BESIDE[figure] for figure in figures)])
    for name, theirs in rounds.items():
        if not name.startswith("perdure"):
            table.rows.append([name, *(better(figure, rounds[ours], theirs) for figure in figures)])
    return table


def better(figure: str, ours: Rounds, theirs: Rounds) -> str:
    """Return how many times as good ours is: above 1 it is faster, or cheaper; below 1 the cell says so."""
    if not ours.get(figure) or not theirs.get(figure):
        return "-"
    times = ratio(ours[figure], theirs[figure])
    if figure not in RATES:
        times = 1 / times if times else float("inf")
    worse = "slower" if figure in (*RATES, "start", "p50") else "dearer"
    return f"{number(times)}" if times >= 1 else f"**{number(times)}** ({worse})"


def targets(ours: str, rounds: dict[str, Rounds]) -> list[Target]:
    """Return how one of ours compares with what is aimed at."""
    own, celery, procrastinate = rounds[ours], rounds[systems.CELERY_EVENTS.name], rounds[systems.PROCRASTINATE.name]
    is_sqlite = ours == systems.PERDURE_SQLITE.name

    def to(figure: str, peer: Rounds) -> float:
        return ratio(own[figure], peer[figure])

    found = [
        Target("drain / Celery with events", to("drain", celery), 5),
        Target("drain while submitted / Celery with events", to("running", celery), 5),
        Target("drain / Procrastinate", to("drain", procrastinate), 3),
        Target("submit / Celery with events", to("submit", celery), 1.0 if is_sqlite else 0.8),
        Target("submit / Procrastinate", to("submit", procrastinate), 1.2),
        Target("bulk submit", statistics.median(own["bulk"]), 20_000, "jobs/s"),
        Target("bulk submit / Procrastinate", to("bulk", procrastinate), 2),
        Target("idle submit to start, p50", own["p50"][0], 5, "ms", at_least=False),
        Target("idle submit to start, p99", own["p99"][0], 25, "ms", at_least=False),
        Target("CPU a job / Celery with events", to("cpu", celery), 0.5, at_least=False),
        Target("worker tree PSS / Celery with events", to("pss", celery), 1.2, at_least=False),
        Target("idle worker", own["idle_cpu"][0], 1, "% of a core", at_least=False),
        Target("worker's start to first job", statistics.median(own["start"]), 1.5, "s", at_least=False),
    ]
    for target in found:
        target.what = f"{ours}: {target.what}"
    return found
