"""``perdure health``: whether the platform works; with ``--worker`` whether one process of this host lives."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from perdure.errors import LedgerUnavailable
from perdure_workers.cli.home_folder import home_of
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import Exit, json_option, print_json, print_table, say
from perdure_workers.recovery.pulse import PATIENCE, Beat, beats

if TYPE_CHECKING:  # a probe loads none of it
    from perdure import Perdure
    from perdure.manage.scores import Score

#: What stands for all processes of this host.
_ALL = "*"


@click.command()
@click.option(
    "--worker",
    "name",
    is_flag=False,
    flag_value=_ALL,
    metavar="[NAME]",
    help="Only whether the worker or supervisor of this NAME lives on this host, else all that were started here; for the "
    "health checks of containers. Loads no application and asks no server.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 also when the platform is merely degraded.")
@json_option
@pass_context
def health(context: Context, name: str | None, strict: bool, as_json: bool) -> None:
    """Say whether the platform works; exit code 1 when a critical part does not."""
    if name is not None:
        _check_processes(context, None if name == _ALL else name, as_json)
        return
    report, scores = context.app.health(), _scores(context.app)
    if as_json:
        print_json(asdict(report) | {"scores": scores})
    else:
        rows = [(one.name, "ok" if one.healthy else one.error, f"{one.seconds:.3f} s") for one in report.checks]
        print_table(("check", "found", "took"), rows, title=report.status)
        if scores:
            found = ((one.kind, one.name, f"{one.score:.3f}", one.calls, one.failures) for one in scores)
            print_table(("", "name", "score", "calls", "failures"), found, title="lately")
    failed = report.status == "unhealthy" or (strict and report.status != "healthy")
    sys.exit(Exit.ERROR if failed else Exit.OK)


def _scores(app: Perdure) -> list[Score]:
    """Return the scores; none while the ledger cannot be read, which the report says."""
    try:
        return app.scores()
    except LedgerUnavailable:
        return []


def _check_processes(context: Context, name: str | None, as_json: bool) -> None:
    home = home_of(context)
    found = beats(home, name)
    is_well = bool(found) and all(beat.is_alive for beat in found)
    if as_json:
        processes = [{**asdict(beat), "alive": beat.is_alive} for beat in found]
        print_json({"alive": is_well, "processes": processes})
    for beat in found if not as_json else ():
        say(_told(beat), fg=None if beat.is_alive else "red")
    if not found and not as_json:
        known = ", ".join(beat.name for beat in beats(home)) or "none"
        say(f"nothing runs as {name or 'any name'} on {home}; of this host there: {known}", fg="red", err=True)
    sys.exit(Exit.OK if is_well else Exit.ERROR)


def _told(beat: Beat) -> str:
    if beat.age is None:
        return f"{beat.name} (process {beat.pid}) has not beaten since this machine was started"
    if beat.is_alive:
        return f"{beat.name} (process {beat.pid}) lives, its main loop went round {beat.age:.1f} s ago"
    return f"{beat.name} (process {beat.pid}) is dead or frozen: no beat for {beat.age:.0f} s ({PATIENCE:g} s are allowed)"
