"""``perdure status|down``: what `perdure up` runs. Nothing of the application is loaded for it, so it answers at once."""

from __future__ import annotations

from typing import Any

import click

from perdure.model.text.masked_url import masked_url
from perdure_workers.cli.home_folder import home_of
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.up.down import down as stop_manager
from perdure_workers.up.errors import NotUp
from perdure_workers.up.status import Status, read_status


@click.command()
@json_option
@pass_context
def down(context: Context, as_json: bool) -> None:
    """End what `perdure up` runs on this home folder."""
    home = home_of(context)
    stopped = stop_manager(home)
    if as_json:
        print_json({"home": str(home), "stopped": str(stopped)})
    else:
        say(f"ended what ran on {home}")


@click.command()
@json_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show what `perdure up` runs on this home folder; exit code 1 when nothing does."""
    home = home_of(context)
    found = read_status(home)
    if found is None:
        raise NotUp(home)
    shown = _masked(found)
    if as_json:
        print_json(shown)
        return
    columns = ("role", "name", "bulkhead", "pid", "children", "state", "http")
    for name in ("home", "ledger_url", "redis_url", "flower_url"):
        say(f"{name.removesuffix('_url')} {shown[name] or 'none'}")
    print_table(columns, ([process.get(column) for column in columns] for process in shown["processes"]))


def _masked(found: Status) -> dict[str, Any]:
    return {**found, "ledger_url": masked_url(found["ledger_url"]), "redis_url": masked_url(found["redis_url"])}
