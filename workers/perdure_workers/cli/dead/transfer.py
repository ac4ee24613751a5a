"""``perdure dead export|import``: moving dead letters between environments, as JSON Lines."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import click

from perdure.system.private import private_file
from perdure_workers.cli.dead.filters import filters_of, where_option, who
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, say


@click.command("export")
@where_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="A file; standard output without.")
@click.option("--secrets", is_flag=True, help="Write arguments that are masked otherwise.")
@pass_context
def export(context: Context, where: tuple[str, ...], output: str | None, secrets: bool) -> None:
    """Write dead letters as JSON Lines, with their attempts and checkpoints; the oldest first."""
    lines = context.app.dead_letters.export(secrets=secrets, **filters_of(where), **who())
    count = 0
    with private_file(Path(output)) if output not in (None, "-") else nullcontext(sys.stdout) as file:
        for line in lines:
            file.write(line + "\n")
            count += 1
    say(f"{count} exported", err=True)


@click.command("import")
@click.argument("file", type=click.File("r"))
@json_option
@pass_context
def import_(context: Context, file: TextIO, as_json: bool) -> None:
    """Read dead letters that `export` wrote, from a FILE or - for standard input; those that are known stay as they are."""
    report = context.app.dead_letters.import_lines(file, **who())
    if as_json:
        print_json(report)
    else:
        say(f"{report.imported} imported, {report.known} known already")
