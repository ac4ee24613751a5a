"""``perdure up``: everything on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from perdure.errors import InvalidArguments
from perdure_workers.cli.home_folder import home_of
from perdure_workers.cli.leaving import leave
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import say
from perdure_workers.flower.access import flower_access
from perdure_workers.up.detach import start_detached
from perdure_workers.up.manager import Manager, ProcessEvent
from perdure_workers.up.plan import make_plan
from perdure_workers.up.processes import State
from perdure_workers.up.runtime import Runtime, UpLock
from perdure_workers.up.source_watch import SourceWatch


@click.command()
@click.option("--detach", is_flag=True, help="Return when all runs; end it with: perdure down")
@click.option("--flower-port", type=click.IntRange(1, 65535), help="Flower's port; the setting flower_port by default.")
@click.option("--no-flower", is_flag=True, help="Run no Flower.")
@click.option("--reload", "reloads", is_flag=True, help="Restart all but Redis when Python files below this folder change.")
@click.option("-c", "--concurrency", "concurrencies", multiple=True, metavar="BULKHEAD=N", help="Children of a worker.")
@pass_context
def up(
    context: Context,
    detach: bool,
    flower_port: int | None,
    no_flower: bool,
    reloads: bool,
    concurrencies: tuple[str, ...],
) -> None:
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
        home,
        plan.specs,
        plan.addresses,
        on_event=_report,
        on_ready=lambda runtime: _announce(context, runtime),
        watch=SourceWatch(Path.cwd()) if reloads else None,
        on_change=_report_change,
    )
    leave(manager.run())


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


def _report_change(paths: list[Path], problem: str | None) -> None:
    names = ", ".join(str(path.relative_to(Path.cwd())) for path in paths[:3]) + (" and more" if len(paths) > 3 else "")
    if problem is not None:
        say(f"{names} changed, and nothing is restarted: {problem}", fg="red", err=True)
    else:
        say(f"{names} changed: restarting; workers finish or hand back what they run", err=True)


def _announce(context: Context, runtime: Runtime) -> None:
    say(f"perdure is up on {home_of(context)}", fg="green")
    if runtime.flower_url:
        access = flower_access(context.app.settings)
        say(f"Flower: {runtime.flower_url} user {access.user}, password in {home_of(context) / 'flower.password'}")
    say("End it with Ctrl-C, or from elsewhere: perdure down")
