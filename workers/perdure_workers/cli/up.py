"""``perdure up|down|status``: everything on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from perdure.errors import InvalidArguments
from perdure.settings import load_settings, masked_url
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.flower.access import flower_access
from perdure_workers.up.detach import start_detached
from perdure_workers.up.down import down as stop_manager
from perdure_workers.up.errors import NotUp
from perdure_workers.up.manager import Manager, ProcessEvent
from perdure_workers.up.plan import make_plan
from perdure_workers.up.processes import State
from perdure_workers.up.runtime import Runtime, UpLock
from perdure_workers.up.status import Status, read_status


@click.command()
@click.option("--detach", is_flag=True, help="Return when all runs; end it with: perdure down")
@click.option("--flower-port", type=click.IntRange(1, 65535), help="Flower's port; the setting flower_port by default.")
@click.option("--no-flower", is_flag=True, help="Run no Flower.")
@click.option("-c", "--concurrency", "concurrencies", multiple=True, metavar="BULKHEAD=N", help="Children of a worker.")
@pass_context
def up(context: Context, detach: bool, flower_port: int | None, no_flower: bool, concurrencies: tuple[str, ...]) -> None:
    """Run Redis (if none is configured), a worker for each bulkhead, a supervisor and Flower. Ctrl-C ends all."""
    app = context.app
    home = app.settings.home_folder.ensure()
    if detach:
        runtime = start_detached([sys.executable, "-m", "perdure_workers", *_without_detach(sys.argv[1:])], home)
        _announce(context, runtime)
        return
    with UpLock(home):
        pass  # refuse before anything is planned: planning may choose a port, which would mislead the one that runs
    app.ledger.upgrade()
    plan = make_plan(
        app,
        context.app_path,
        concurrency=dict(_concurrency(text) for text in concurrencies),
        flower=not no_flower,
        flower_port=flower_port,
    )
    manager = Manager(
        home, plan.specs, plan.addresses, on_event=_report, on_ready=lambda runtime: _announce(context, runtime)
    )
    sys.exit(manager.run())


@click.command()
@json_option
@pass_context
def down(context: Context, as_json: bool) -> None:
    """End what `perdure up` runs on this home folder."""
    stopped = stop_manager(_home(context))
    if as_json:
        print_json({"home": str(_home(context)), "stopped": str(stopped)})
    else:
        say(f"ended what ran on {_home(context)}")


@click.command()
@json_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show what `perdure up` runs on this home folder; exit code 1 when nothing does."""
    home = _home(context)
    found = read_status(home)
    if found is None:
        raise NotUp(home)
    shown = _masked(found)
    if as_json:
        print_json(shown)
        return
    columns = ("role", "name", "bulkhead", "pid", "children", "state")
    for name in ("home", "ledger_url", "redis_url", "flower_url"):
        say(f"{name.removesuffix('_url')} {shown[name] or 'none'}")
    print_table(columns, ([process.get(column) for column in columns] for process in shown["processes"]))


def _home(context: Context) -> Path:
    return load_settings(home=context.home).home_folder.path


def _masked(found: Status) -> dict[str, Any]:
    return {**found, "ledger_url": masked_url(found["ledger_url"]), "redis_url": masked_url(found["redis_url"])}


def _concurrency(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdigit() or int(number) < 1:
        raise InvalidArguments(f"-c {text!r} must be BULKHEAD=N, such as critical=4")
    return name, int(number)


def _without_detach(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--detach"]


def _report(event: ProcessEvent) -> None:
    if event.state is State.RUNNING:
        say(f"{event.spec.name} runs (pid {event.pid})", err=True)
    elif event.state is State.BACKOFF:
        again = f", again in {event.retry_in:g} s" if event.retry_in is not None else ""
        say(f"{event.spec.name} ended with exit code {event.exit_code}{again}", fg="yellow", err=True)


def _announce(context: Context, runtime: Runtime) -> None:
    say(f"perdure is up on {_home(context)}", fg="green")
    if runtime.flower_url:
        access = flower_access(context.app.settings)
        say(f"Flower: {runtime.flower_url} user {access.user}, password in {_home(context) / 'flower.password'}")
    say("End it with Ctrl-C, or from elsewhere: perdure down")
