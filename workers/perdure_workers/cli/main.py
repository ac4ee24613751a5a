"""The command group, and how an error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys

import click

from perdure.errors import PerdureError
from perdure.service_links import drop_service_links
from perdure_workers.cli.breakers import breakers
from perdure_workers.cli.bulkheads import bulkheads
from perdure_workers.cli.checkpoints import checkpoints
from perdure_workers.cli.database import db
from perdure_workers.cli.dead import dead
from perdure_workers.cli.health import health
from perdure_workers.cli.jobs import jobs, submit
from perdure_workers.cli.loading import Context
from perdure_workers.cli.output import Exit, say_lines
from perdure_workers.cli.processes import flower, supervisor, worker
from perdure_workers.cli.up import down, status, up
from perdure_workers.cli.why import why
from perdure_workers.cli.workers import workers
from perdure_workers.demo.command import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PERDURE"})
@click.option("-A", "--app", envvar="PERDURE_APP", help="The application as module:attribute.")
@click.option("--home", envvar="PERDURE_HOME", help="The home folder of embedded servers (default ./.perdure).")
@click.version_option(package_name="perdure")
@click.pass_context
def perdure(context: click.Context, app: str | None, home: str | None) -> None:
    """Run and manage fault-tolerant jobs."""
    context.obj = Context(app, home)


for _command in (
    submit,
    jobs,
    why,
    dead,
    checkpoints,
    breakers,
    bulkheads,
    workers,
    db,
    worker,
    supervisor,
    flower,
    up,
    down,
    status,
    health,
    demo,
):
    perdure.add_command(_command)


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
