"""Milliseconds of a claim on PostgreSQL by 64 claimers, with long lines in three bulkheads, many limit keys, open breakers.

    python -m benchmarks claimers [--quick]

100,000 jobs wait in each of 3 bulkheads: most with nothing to hold them back, some behind 20 open circuit breakers, some
under 1,000 keys of a limit. Each claimer keeps what it claimed for a second, as if it ran, and settles it: so 64 claims are
made a second, which leaves the cores time, and a claim's time is its own and not the wait for a core. Measured are the
statement that claims, and the whole choice that a worker's child makes, with the lanes that something holds back. One
claimer alone is there for comparison.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from queue import Empty
from typing import Any

from benchmarks.ledgers import Child
from benchmarks.report import Report, Table, Target, number
from benchmarks.servers import serving
from benchmarks.trial import quantiles
from perdure import Perdure

BULKHEADS = ("critical", "normal", "background")
#: Of what waits in a bulkhead: the part behind breakers, and the part under limits.
GUARDED_PART, KEYED_PART = 0.1, 0.2
LIMIT_PER_KEY = 1
RUN_SECONDS = 1.0
PROCESSES = 8
#: Each process takes its time to connect; what is claimed meanwhile does not count.
RUN_IN_SECONDS = 3.0
#: For all claimers to connect before, and to end what they are at afterwards.
PATIENCE_SECONDS = 180.0


class Plan:
    """How much is measured: jobs in each bulkhead, keys, breakers, claimers, and for how many seconds."""

    def __init__(self, *, quick: bool) -> None:
        self.depth = 2_000 if quick else 100_000
        self.keys = 50 if quick else 1_000
        self.breakers = 5 if quick else 20
        self.claimers = 16 if quick else 64
        self.seconds = 3.0 if quick else 30.0


def application(plan: Plan, urls: dict[str, str]) -> Perdure:
    """Return an application whose jobs are claimed here and never run."""
    settings: Any = urls
    app = Perdure(**settings)

    def work(key: str = "") -> None:
        """Do nothing: it is never called."""

    app.register(work, name="bench.plain")
    app.register(work, name="bench.keyed", limit=LIMIT_PER_KEY, limit_by="key")
    for number_of_breaker in range(plan.breakers):
        app.register(work, name=f"bench.guarded-{number_of_breaker}", breaker=f"bench-{number_of_breaker}")
    return app


def measure_report(*, quick: bool = False) -> Report:
    """Fill, claim, and return the report."""
    plan = Plan(quick=quick)
    with serving() as servers:
        broker, ledger = servers.addresses("claimers")
        urls = {"broker_url": broker, "ledger_url": ledger, "home": str(servers.folder / "home")}
        began = time.monotonic()
        fill(application(plan, urls), plan)
        print(f"{len(BULKHEADS) * plan.depth:,} jobs submitted in {time.monotonic() - began:.0f} s", file=sys.stderr)
        found = {
            (count, whole): claims(plan, urls, count, whole=whole)
            for whole in (False, True)
            for count in (1, plan.claimers)
        }
    return described(plan, found)


def fill(app: Perdure, plan: Plan) -> None:
    """Submit what waits, and open the breakers."""
    app.ledger.upgrade()
    guarded, keyed = int(plan.depth * GUARDED_PART), int(plan.depth * KEYED_PART)
    for number_of_breaker in range(plan.breakers):
        app.breakers[f"bench-{number_of_breaker}"].force_open(lasts=None)
    for bulkhead in BULKHEADS:
        for number_of_breaker in range(plan.breakers):
            task = app.task(f"bench.guarded-{number_of_breaker}").options(bulkhead=bulkhead)
            task.submit_many(() for _ in range(guarded // plan.breakers))
        app.task("bench.keyed").options(bulkhead=bulkhead).submit_many((f"k{i % plan.keys}",) for i in range(keyed))
        app.task("bench.plain").options(bulkhead=bulkhead).submit_many(() for _ in range(plan.depth - guarded - keyed))


Found = tuple[list[float], list[float], Counter[str]]


def claims(plan: Plan, urls: dict[str, str], claimers: int, *, whole: bool) -> Found:
    """Have claimers work for a while; return the milliseconds of claims and of settlements, and what was claimed.

    Args:
        plan: for how long.
        urls: the servers.
        claimers: how many.
        whole: whether each makes the whole choice, or the one statement.
    """
    context, processes = multiprocessing.get_context("spawn"), min(claimers, PROCESSES)
    results: Any = context.Queue()
    gate: Any = context.Barrier(processes)
    each = claimers // processes
    shares = [range(at * each, (at + 1) * each) for at in range(processes)]
    started = [
        context.Process(target=work, args=(plan, urls, share, whole, gate, results), daemon=True) for share in shares
    ]
    for process in started:
        process.start()
    found: Found = ([], [], Counter())
    give_up_at = time.monotonic() + plan.seconds + PATIENCE_SECONDS
    try:
        for _ in started:
            claimed, settled, kinds = results.get(timeout=max(0.1, give_up_at - time.monotonic()))
            found[0].extend(claimed)
            found[1].extend(settled)
            found[2].update(kinds)
    except Empty:
        print(f"{claimers} claimers did not end: their claims take minutes", file=sys.stderr)
        return [PATIENCE_SECONDS * 1000], [], Counter()
    finally:
        for process in started:
            process.terminate()
            process.join()
    return found


def work(plan: Plan, urls: dict[str, str], numbers: range, whole: bool, gate: Any, results: Any) -> None:
    """Run some claimers in this process, each in a thread with connections of its own; begin with the other processes."""
    found: Found = ([], [], Counter())
    gate.wait(120)
    until = time.monotonic() + RUN_IN_SECONDS + plan.seconds
    threads = [threading.Thread(target=claimer, args=(plan, urls, number, whole, until, found)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(found)


def claimer(plan: Plan, urls: dict[str, str], number_of_claimer: int, whole: bool, until: float, found: Found) -> None:
    """Claim, keep, settle, until the time is over."""
    child = Child(application(plan, urls), f"claimer-{os.getpid()}-{number_of_claimer}", BULKHEADS[number_of_claimer % 3])
    claimed, settled, kinds = found
    time.sleep(random.uniform(0, RUN_SECONDS))
    counts_from = until - plan.seconds
    while (began := time.monotonic()) < until:
        claims = child.choose() if whole else child.claim()
        took = time.monotonic() - began
        time.sleep(RUN_SECONDS * random.uniform(0.5, 1.5))
        ended = time.monotonic()
        if claims:
            child.settle(claims)
        if began >= counts_from:
            claimed.append(took * 1000)
            settled.append((time.monotonic() - ended) * 1000)
            kinds.update(claim.task.rstrip("0123456789-") for claim in claims)


def described(plan: Plan, found: dict[tuple[int, bool], Found]) -> Report:
    """Return the report of what was found, by the number of claimers and whether they made the whole choice."""
    report = Report("claimers", "Many claimers, long lines")
    report.notes = [
        f"{plan.depth:,} jobs wait in each of {len(BULKHEADS)} bulkheads, {plan.keys:,} keys of a limit, {plan.breakers} "
        f"open breakers; PostgreSQL. Each claimer keeps what it claimed for about {RUN_SECONDS:g} s. A choice looks at the "
        "lanes as well that something holds back."
    ]
    table = Table("a claim", ["", "claimers", "p50, ms", "p99, ms", "settle p50, ms", "p99, ms", "claims", "jobs"])
    for (count, whole), (claimed, settled, kinds) in found.items():
        title = "choice" if whole else "statement"
        settling = quantiles(settled) if settled else (0.0, 0.0)
        cells = [number(value) for value in (*quantiles(claimed), *settling)]
        jobs = ", ".join(f"{jobs} {kind}" for kind, jobs in sorted(kinds.items()))
        table.rows.append([title, str(count), *cells, str(len(claimed)), jobs])
        report.data[f"{title}, {count}"] = {"claim": claimed, "settle": settled, "kinds": dict(kinds)}
        if count > 1:
            for name, value in zip(("p50", "p99"), quantiles(claimed), strict=True):
                report.targets.append(Target(f"{count} claimers, {title}, {name}", value, 3, "ms", at_least=False))
    report.tables = [table]
    return report
