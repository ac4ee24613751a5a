"""``perdure status|down``: what `perdure up` runs. Nothing is loaded to say that, so the processes are shown at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from perdure.model.text.masked_url import masked_url
from perdure.resilience.probe import Probe
from perdure_workers.cli.home_folder import home_of
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.up.down import down as stop_manager
from perdure_workers.up.errors import NotUp
from perdure_workers.up.status import Status, read_status

#: Seconds that the ledger may take to say which nodes are in doubt.
PATIENCE = 3.0


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
        print_json({**shown, "nodes": _doubts(found, home)})
        return
    columns = ("role", "name", "bulkhead", "pid", "children", "state", "http")
    for name in ("home", "ledger_url", "redis_url", "flower_url"):
        say(f"{name.removesuffix('_url')} {shown[name] or 'none'}")
    print_table(columns, ([process.get(column) for column in columns] for process in shown["processes"]))
    if said := _doubts(found, home):
        say(f"nodes {said}")


def _masked(found: Status) -> dict[str, Any]:
    return {**found, "ledger_url": masked_url(found["ledger_url"]), "redis_url": masked_url(found["redis_url"])}


def _doubts(found: Status, home: Path) -> str:
    """Return what the ledger says against nodes: who was outvoted, barred or declared unfit; "" when it says nothing."""

    from perdure import Perdure
    from perdure.manage.platform_checks import NodeInDoubt, sound

    def ask() -> str:
        app = Perdure(home=home, ledger_url=found["ledger_url"])
        try:
            sound(app.settings, app.ledger)
        except NodeInDoubt as doubt:
            return str(doubt)
        finally:
            app.close()
        return ""

    return str(Probe(ask, PATIENCE).begin()().details or "")
