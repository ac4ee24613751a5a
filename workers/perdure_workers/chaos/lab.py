"""The lab: scenarios one after the other, and the reports of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from perdure_workers.chaos.how import How
from perdure_workers.chaos.progress import Watcher
from perdure_workers.chaos.report import write_reports
from perdure_workers.chaos.result import Result, document
from perdure_workers.chaos.runner import Run
from perdure_workers.chaos.scenario import Scenario


def run_scenarios(scenarios: Sequence[Scenario], how: How, console: Console) -> dict[str, Any]:
    """Run scenarios, write the reports after each of them, and return what ``report.json`` has.

    Args:
        scenarios: Which.
        how: How.
        console: Where to tell what happens.

    Raises:
        LabFailed: A platform does not start, or does nothing although nothing was done to it.
    """
    results: list[Result] = []
    where = "the platform that runs, " if how.running else ""
    console.print(f"Seed {how.seed}, {how.duration:g} s of faults each, {where}a ledger on {how.ledger}", highlight=False)
    for scenario in scenarios:
        with Watcher(console) as watcher:
            watcher.begin(scenario.name)
            results.append(Run(scenario, how, watcher).result())
            watcher.end(results[-1])
        write_reports(document(results, how.seed), results, how.folder)
    told = document(results, how.seed)
    console.print(f"{told['verdict']}: {how.folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return told
