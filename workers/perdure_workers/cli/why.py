"""``perdure why``."""

from __future__ import annotations

import click
from msgspec.structs import replace

from perdure.model.masking import masker
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, say


@click.command()
@click.argument("job_id")
@json_option
@pass_context
def why(context: Context, job_id: str, as_json: bool) -> None:
    """Say why JOB_ID is not running now."""
    app = context.app
    record = app.jobs.find(job_id).record
    mask = masker(app.tasks.get(record.task), record.args, record.kwargs)
    reasons = [replace(reason, text=mask.text(reason.text)) for reason in app.jobs.why(record.id)]
    if as_json:
        print_json(reasons)
        return
    for reason in reasons:
        say(reason.text)
