"""``perdure drill``: practise what to do when something has gone wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from perdure.settings.drill_settings import DEFAULT_TARGETS
from perdure_workers.cli.output import json_option, print_json, say

if TYPE_CHECKING:
    from perdure_workers.chaos.platforms import LedgerKind

#: Where the targets come from that are not given.
_SETTING = "the setting drills"


@click.command()
@click.argument("name", type=click.Choice(list(DEFAULT_TARGETS)))
@click.option("--rto", type=click.FloatRange(0), help=f"Seconds until all is done again [default: {_SETTING}].")
@click.option("--rpo", type=click.FloatRange(0), help=f"Seconds of work that may be lost [default: {_SETTING}].")
@click.option("--ledger", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), default="drill-report", show_default=True,
    help="The folder of drill.json, logs and evidence.",
)  # fmt: skip
@json_option
def drill(name: str, rto: float | None, rpo: float | None, ledger: LedgerKind, report: Path, as_json: bool) -> None:
    """Have an accident on a platform made for it, and time what an operator does; exit code 1 if a target is missed."""
    from perdure.settings.settings import load_settings
    from perdure_workers.drills.drill import run

    given = {target: value for target, value in (("rto", rto), ("rpo", rpo)) if value is not None}
    targets = msgspec.structs.replace(load_settings().drills[name], **given)
    found = run(name, report.absolute(), targets, ledger, lambda step: say(step, err=as_json))
    if as_json:
        print_json(found)
    else:
        took = "not in time" if found.rto is None else f"{found.rto:.1f} s"
        verdict = "targets met" if found.met else "TARGET MISSED"
        say(f"{found.drill}: {verdict}: RTO {took} of {found.rto_target:g} s")
        lost = f"{found.lost} of {found.accepted} jobs lost, {found.doubled} done twice"
        say(f"RPO {found.rpo:.1f} s of {found.rpo_target:g} s, {lost}")
    sys.exit(0 if found.met else 1)
