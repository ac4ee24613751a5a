"""``perdure status|down``: what `perdure up` runs. Nothing is loaded to say that, so the processes are shown at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perdure.model.text.masked_url import masked_url
from perdure.resilience.probe import Probe
from perdure_workers.cli.home_folder import home_of
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.up.down import down as stop_manager
from perdure_workers.up.errors import NotUp
from perdure_workers.up.status import Status, read_status

if TYPE_CHECKING:  # what is shown at once loads none of it
    from perdure import Perdure

#: Seconds that the ledger may take to say what there is to say of it.
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
        print_json({**shown, **_of_ledger(found, home)})
        return
    columns = ("role", "name", "bulkhead", "pid", "children", "state", "http")
    for name in ("home", "ledger_url", "redis_url", "flower_url"):
        say(f"{name.removesuffix('_url')} {shown[name] or 'none'}")
    print_table(columns, ([process.get(column) for column in columns] for process in shown["processes"]))
    for name, said in _of_ledger(found, home).items():
        if said:
            say(f"{name} {said}")


def _masked(found: Status) -> dict[str, Any]:
    return {**found, "ledger_url": masked_url(found["ledger_url"]), "redis_url": masked_url(found["redis_url"])}


def _of_ledger(found: Status, home: Path) -> dict[str, str]:
    """Return what the ledger says: against nodes, and of dead rows that somebody keeps; "" where it says nothing."""

    from perdure import Perdure
    from perdure.manage.platform_checks import told

    def ask() -> dict[str, str]:
        app = Perdure(home=home, ledger_url=found["ledger_url"])
        try:
            has_dead_rows = app.ledger.database.dialect == "postgresql"
            return {"nodes": _doubts(app), "dead_rows": told(app.ledger.partitions.dead_rows()) if has_dead_rows else ""}
        finally:
            app.close()

    said = Probe(ask, PATIENCE).begin()().details
    return {"nodes": "", "dead_rows": "", **(said if isinstance(said, dict) else {})}


def _doubts(app: Perdure) -> str:
    """Return who was outvoted, barred or declared unfit."""
    from perdure.manage.platform_checks import NodeInDoubt, sound

    try:
        sound(app.settings, app.ledger)
    except NodeInDoubt as doubt:
        return str(doubt)
    return ""
