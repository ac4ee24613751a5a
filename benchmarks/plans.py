"""What it saves that PostgreSQL keeps the plans of hot statements, beside a ledger that has them planned anew each time.

    python -m benchmarks plans [--quick]

The steps of a job that comes alone, each after some idle time; then settling slices and claiming the next ones in a loop.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.ledgers import SUCCEED, new_job
from benchmarks.report import Report, Table
from benchmarks.servers import serving
from perdure.ledger import Ledger
from perdure.ledger.jobs.claim import Claimer
from perdure.model.records import Claim

#: Seconds of nothing before a step.
IDLE_SECONDS = 0.03
SLICES = (1, 10, 100, 200)
ROUNDS, QUICK_ROUNDS = 3, 1
STEPS, QUICK_STEPS = 60, 20
ANEW = "SET plan_cache_mode = force_custom_plan"

Figures = dict[str, list[float]]


def measure_report(*, quick: bool = False) -> Report:
    """Measure and return the report."""
    report = Report("plans", "Plans of PostgreSQL")
    rounds, steps = (QUICK_ROUNDS, QUICK_STEPS) if quick else (ROUNDS, STEPS)
    kept: Figures = {}
    anew: Figures = {}
    with serving() as servers:
        for number in range(rounds):
            for name, figures in (("kept", kept), ("anew", anew)):
                print(f"round {number + 1}: plans {name}", file=sys.stderr)
                _, url = servers.addresses(f"{name} {number}")  # a database of its own, without dead rows of others
                for what, seconds in _measured(url, steps, is_kept=figures is kept).items():
                    figures.setdefault(what, []).append(seconds * 1000)
    table = Table("medians, ms", ["", "plans kept", "planned anew"])
    for what in kept:
        medians = [statistics.median(figures[what]) for figures in (kept, anew)]
        table.rows.append([what, *(f"{median:.2f}" for median in medians)])
        report.data[what] = {"kept": kept[what], "anew": anew[what]}
    report.tables.append(table)
    return report


def _measured(url: str, steps: int, *, is_kept: bool) -> dict[str, float]:
    """Return the median seconds of each step."""
    ledger = Ledger(url)
    ledger.upgrade()
    if not is_kept:
        ledger.database.run(lambda connection: connection.run(ANEW, {}), autocommit=True, hot=True)
    found = _alone(ledger, steps) | {f"settle {size}, claim the next": _in_slices(ledger, size, steps) for size in SLICES}
    ledger.close()
    return found


def _alone(ledger: Ledger, steps: int) -> dict[str, float]:
    by = Claimer("normal", "alone", "alone", 1, (new_job().task,))
    claims: Sequence[Claim] = ()
    names = [f"{what}, after {IDLE_SECONDS * 1000:.0f} ms of nothing" for what in ("submit", "claim", "settle")]
    took: dict[str, list[float]] = {name: [] for name in names}

    def timed(step: Callable[[], object], seconds: list[float]) -> None:
        time.sleep(IDLE_SECONDS)
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)

    def claim() -> None:
        nonlocal claims
        claims = ledger.jobs.claim(by, 1)

    def settle() -> None:
        ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])

    for _ in range(steps):
        for step, seconds in zip((lambda: ledger.jobs.submit([new_job()]), claim, settle), took.values(), strict=True):
            timed(step, seconds)
    return {what: statistics.median(seconds) for what, seconds in took.items()}


def _in_slices(ledger: Ledger, size: int, steps: int) -> float:
    by = Claimer("normal", "slices", "slices", 1, (new_job().task,))
    for _ in range(steps + 1):
        ledger.jobs.submit([new_job() for _ in range(size)])
    claims, took = ledger.jobs.claim(by, size), []
    while claims:
        began = time.perf_counter()
        _, claims = ledger.jobs.settle_and_claim([(claim, SUCCEED) for claim in claims], (), by, size, {})
        took.append(time.perf_counter() - began)
    return statistics.median(took)
