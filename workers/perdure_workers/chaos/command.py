"""``perdure chaos``."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table


@click.group()
def chaos() -> None:
    """Break a platform of its own on purpose, and judge by evidence what came of it."""


@chaos.command("list")
@json_option
def list_scenarios(as_json: bool) -> None:
    """List the scenarios."""
    from perdure_workers.chaos.scenario import scenarios

    if as_json:
        print_json(list(scenarios().values()))
    else:
        rows = [(each.name, " ".join(each.ledgers), each.what) for each in scenarios().values()]
        print_table(("scenario", "ledgers", "what"), rows)


@chaos.command()
@click.argument("scenario")
@click.option("--duration", type=click.FloatRange(2, 86_400), default=20.0, show_default=True, help="Seconds of faults.")
@click.option("--seed", type=int, help="What is hit and submitted; by default one that is drawn, and told.")
@click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), default="chaos-report", show_default=True,
    help="The folder of report.html, report.json, junit.xml, logs and evidence.",
)  # fmt: skip
@click.option("--ledger", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@json_option
@pass_context
def run(
    context: Context, scenario: str, duration: float, seed: int | None, report: Path, ledger: str, as_json: bool
) -> None:
    """Run SCENARIO, or all of them, on servers and processes made for it; exit code 1 if a promise is broken."""
    from rich.console import Console

    from perdure_workers.chaos.cluster import APP
    from perdure_workers.chaos.lab import run_scenarios
    from perdure_workers.chaos.runner import How
    from perdure_workers.chaos.scenario import chosen

    kind = "postgresql" if ledger == "postgresql" else "sqlite"
    found = chosen(scenario, kind)  # type: ignore[arg-type]
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    how = How(duration, seed, kind, report.absolute(), context.app_path or APP)  # type: ignore[arg-type]
    document = run_scenarios(found, how, Console(stderr=as_json))
    if as_json:
        print_json(document)
    sys.exit(0 if document["verdict"] == "held" else 1)
