"""``perdure health``."""

from __future__ import annotations

import dataclasses
import sys

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import Exit, json_option, print_json, print_table


@click.command()
@json_option
@pass_context
def health(context: Context, as_json: bool) -> None:
    """Say whether the platform works; exit code 1 when a critical part does not."""
    report = context.app.health()
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        rows = [(one.name, "ok" if one.healthy else one.error, f"{one.seconds:.3f} s") for one in report.checks]
        print_table(("check", "found", "took"), rows, title=report.status)
    sys.exit(Exit.ERROR if report.status == "unhealthy" else Exit.OK)
