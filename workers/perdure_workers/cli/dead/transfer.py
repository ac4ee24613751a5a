"""``perdure dead export|import``: moving dead letters between environments, as JSON Lines."""

from __future__ import annotations

import dataclasses
from typing import TextIO

import click

from perdure_workers.cli.dead.filters import filters_of, where_option, who
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json


@click.command("export")
@where_option
@click.option("-o", "--output", type=click.File("w", lazy=False, atomic=True), default="-", help="A file; standard output.")
@pass_context
def export(context: Context, where: tuple[str, ...], output: TextIO) -> None:
    """Write dead letters as JSON Lines, with their attempts and checkpoints; the oldest first."""
    count = 0
    for line in context.app.dead_letters.export(**filters_of(where), **who()):
        output.write(line + "\n")
        count += 1
    click.echo(f"{count} exported", err=True)


@click.command("import")
@click.argument("file", type=click.File("r"))
@json_option
@pass_context
def import_(context: Context, file: TextIO, as_json: bool) -> None:
    """Read dead letters that `export` wrote, from a FILE or - for standard input; those that are known stay as they are."""
    report = context.app.dead_letters.import_lines(file, **who())
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        click.echo(f"{report.imported} imported, {report.known} known already")
