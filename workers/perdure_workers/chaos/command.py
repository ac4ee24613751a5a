"""``perdure chaos``."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from perdure_workers.chaos.platforms import LedgerKind


@click.group()
def chaos() -> None:
    """Break a platform on purpose, and judge by evidence what came of it."""


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
@click.option("--ledger", type=click.Choice(["sqlite", "postgresql"]), help="Of the lab's own platform; sqlite by default.")
@click.option("--running", is_flag=True, help="Break the application's platform that runs on this host, if it allows that.")
@json_option
@pass_context
def run(
    context: Context,
    scenario: str,
    duration: float,
    seed: int | None,
    report: Path,
    ledger: LedgerKind | None,
    running: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO, or all of them; exit code 1 if a promise is broken.

    What is broken are servers and processes that are started for it, or with --running those of a platform that runs.
    """
    from rich.console import Console

    from perdure_workers.chaos.cluster import APP
    from perdure_workers.chaos.how import How
    from perdure_workers.chaos.lab import run_scenarios
    from perdure_workers.chaos.scenario import chosen, chosen_from_outside

    if running and ledger:
        raise click.UsageError("--ledger is of a platform that is started; one that runs has its own")
    app = context.app if running else None
    if app is None:
        kind = ledger or "sqlite"
        found = chosen(scenario, kind)
    else:
        kind = "postgresql" if app.ledger.database.dialect == "postgresql" else "sqlite"
        found = chosen_from_outside(scenario)
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    how = How(duration, seed, kind, report.absolute(), context.app_path or APP, app)
    document = run_scenarios(found, how, Console(stderr=as_json))
    if as_json:
        print_json(document)
    sys.exit(0 if document["verdict"] == "held" else 1)
