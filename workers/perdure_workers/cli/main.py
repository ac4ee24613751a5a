"""The command group, and how an error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys

import click

from perdure.errors import PerdureError
from perdure.settings.service_links import drop_service_links
from perdure_workers.cli.lazy import LazyGroup
from perdure_workers.cli.loading import Context
from perdure_workers.cli.output import Exit, say_lines

#: Where each command is.
_COMMANDS = {
    "alerts": "cli.alerts:alerts",
    "breakers": "cli.breakers:breakers",
    "bulkheads": "cli.bulkheads:bulkheads",
    "chaos": "chaos.command:chaos",
    "checkpoints": "cli.checkpoints:checkpoints",
    "db": "cli.database:db",
    "dead": "cli.dead:dead",
    "demo": "demo.command:demo",
    "down": "cli.status:down",
    "drill": "drills.command:drill",
    "failover": "cli.failover:failover",
    "faults": "cli.faults:faults",
    "flower": "cli.processes:flower",
    "groups": "cli.groups:groups",
    "health": "cli.health:health",
    "jobs": "cli.jobs:jobs",
    "metrics": "cli.metrics:metrics",
    "schedules": "cli.schedules:schedules",
    "simulate": "capacity.command:simulate",
    "slo": "cli.slo:slo",
    "status": "cli.status:status",
    "submit": "cli.jobs:submit",
    "supervisor": "cli.processes:supervisor",
    "top": "cli.top.command:top",
    "up": "cli.up:up",
    "why": "cli.why:why",
    "worker": "cli.processes:worker",
    "workers": "cli.workers:workers",
}


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PERDURE"},
)
@click.option("-A", "--app", envvar="PERDURE_APP", help="The application as module:attribute.")
@click.option("--home", envvar="PERDURE_HOME", help="The home folder of embedded servers (default ./.perdure).")
@click.version_option(package_name="perdure")
@click.pass_context
def perdure(context: click.Context, app: str | None, home: str | None) -> None:
    """Run and manage fault-tolerant jobs."""
    context.obj = Context(app, home)


def main() -> None:
    """Run the command line and exit."""
    drop_service_links()
    try:
        perdure.main(args=_with_common_options_first(sys.argv[1:]), prog_name="perdure", standalone_mode=False)
    except PerdureError as error:
        say_lines(f"{type(error).__name__}: {error}", indent="  ", fg="red", err=True)
        sys.exit(Exit.ERROR)
    except BrokenPipeError:  # whoever read has enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.ERROR)
    except OSError as error:  # a folder that cannot be written, a full disk
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        say_lines(f"{type(error).__name__}: {what}", indent="  ", fg="red", err=True)
        sys.exit(Exit.ERROR)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _with_common_options_first(arguments: list[str]) -> list[str]:
    """Let ``--app/-A`` and ``--home`` stand after the command as well: ``perdure worker critical -A shop``."""
    common: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in ("-A", "--app", "--home"):
            common += [argument, *([value] if (value := next(remaining, None)) is not None else [])]
        elif argument.startswith(("--app=", "--home=")):
            common.append(argument)
        else:
            rest.append(argument)
    return common + rest
