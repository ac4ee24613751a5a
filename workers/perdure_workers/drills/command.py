"""``perdure drill``: practise what to do when something has gone wrong."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from perdure_workers.cli.output import json_option, print_json, say

#: The accidents; see ``accidents.py``, which is not loaded for a list of names.
NAMES = ("broker-loss", "ledger-restore", "host-loss", "region-loss", "bad-deploy", "operator-error")
#: Accidents that lose work, and seconds of it that may be lost by default.
LOSSY = {"ledger-restore": 10.0, "region-loss": 10.0}


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--rto", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds until all is done again.")
@click.option(
    "--rpo",
    type=click.FloatRange(0),
    help="Seconds of work that may be lost [default: 0; ledger-restore, region-loss: 10].",
)
@click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), default="drill-report", show_default=True,
    help="The folder of drill.json, logs and evidence.",
)  # fmt: skip
@json_option
def drill(name: str, rto: float, rpo: float | None, report: Path, as_json: bool) -> None:
    """Have an accident on a platform made for it, and time what an operator does; exit code 1 if a target is missed."""
    from perdure_workers.drills.drill import run

    rpo = rpo if rpo is not None else LOSSY.get(name, 0.0)
    found = run(name, report.absolute(), rto, rpo, lambda step: say(step, err=as_json))
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        took = "not in time" if found.rto is None else f"{found.rto:.1f} s"
        verdict = "targets met" if found.met else "TARGET MISSED"
        say(f"{found.drill}: {verdict}: RTO {took} of {found.rto_target:g} s")
        lost = f"{found.lost} of {found.accepted} jobs lost, {found.doubled} done twice"
        say(f"RPO {found.rpo:.1f} s of {found.rpo_target:g} s, {lost}")
    sys.exit(0 if found.met else 1)
