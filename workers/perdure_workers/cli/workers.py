"""``perdure workers``."""

from __future__ import annotations

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, show


@click.group()
def workers() -> None:
    """Look at workers."""


@workers.command("list")
@click.option("--all", "all_states", is_flag=True, help="Those that failed or left as well.")
@json_option
@pass_context
def list_workers(context: Context, all_states: bool, as_json: bool) -> None:
    """List the workers with the age of their last heartbeat."""
    columns = {
        "name": lambda worker: worker.name,
        "bulkhead": lambda worker: worker.bulkhead,
        "state": lambda worker: worker.state + (" (draining)" if worker.draining else ""),
        "heartbeat": lambda worker: f"{worker.heartbeat_age:.1f} s ago",
        "running": lambda worker: f"{worker.running}/{worker.concurrency}",
        "pid": lambda worker: worker.pid,
        "host": lambda worker: worker.host,
    }
    show(as_json, context.app.workers.list(all_states=all_states), columns)
