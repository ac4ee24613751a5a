"""``perdure workers``."""

from __future__ import annotations

import click

from perdure.model.records import WorkerRecord
from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, say, show


@click.group()
def workers() -> None:
    """Look at workers, and trust one again that was outvoted."""


@workers.command("list")
@click.option("--all", "all_states", is_flag=True, help="Those that failed or left as well.")
@json_option
@pass_context
def list_workers(context: Context, all_states: bool, as_json: bool) -> None:
    """List the workers with the age of their last heartbeat."""
    columns = {
        "name": lambda worker: worker.name,
        "bulkhead": lambda worker: worker.bulkhead,
        "state": _state,
        "heartbeat": lambda worker: f"{worker.heartbeat_age:.1f} s ago",
        "running": lambda worker: f"{worker.running}/{worker.concurrency}",
        "pid": lambda worker: worker.pid,
        "host": lambda worker: worker.host,
    }
    show(as_json, context.app.workers.list(all_states=all_states), columns)


@workers.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; shown to others.")
@json_option
@pass_context
def trust(context: Context, name: str, reason: str, as_json: bool) -> None:
    """Count the answers of worker NAME again, and forget the votes that it has lost."""
    context.app.workers.trust(name, reason=reason, by=f"cli:{whoami()}")
    if as_json:
        print_json({"name": name, "trusted": True})
    else:
        say(f"{name} takes part in votes again")


def _state(worker: WorkerRecord) -> str:
    said = {
        "draining": worker.draining,
        f"unfit: {worker.unfit}": worker.unfit is not None,
        f"outvoted {worker.outvoted} times": worker.outvoted > 0,
        "barred": worker.barred,
    }
    more = ", ".join(text for text, holds in said.items() if holds)
    return worker.state + (f" ({more})" if more else "")
