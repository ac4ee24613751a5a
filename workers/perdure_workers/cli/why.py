"""``perdure why``."""

from __future__ import annotations

import dataclasses

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json


@click.command()
@click.argument("job_id")
@json_option
@pass_context
def why(context: Context, job_id: str, as_json: bool) -> None:
    """Say why JOB_ID is not running now."""
    reasons = context.app.jobs.why(context.app.jobs.find(job_id).id)
    if as_json:
        print_json([dataclasses.asdict(reason) for reason in reasons])
        return
    for reason in reasons:
        click.echo(reason.text)
