"""The command line, run in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from click.testing import CliRunner, Result

from perdure import Perdure
from perdure_workers.cli.loading import Context
from perdure_workers.cli.main import perdure


@dataclass
class Ended:
    """How a command ended.

    Args:
        code: Its exit code.
        out: What it printed.
        err: What it printed to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


def command_named(name: str) -> click.Command:
    """Return one of the commands of ``perdure``."""
    command = perdure.get_command(click.Context(perdure), name)
    assert command is not None
    return command


def invoke(app: Perdure, *arguments: str, typed: str | None = None) -> Result:
    """Run a command of ``perdure`` for an application that is loaded.

    With the settings that it has below ``perdure``: a click command remembers its ``--help`` as it was called first.
    """
    context = Context(None, None)
    context._app = app
    group, *rest = arguments
    options: dict[str, Any] = {"env": {"COLUMNS": "200"}, **perdure.context_settings}
    return CliRunner().invoke(command_named(group), rest, obj=context, input=typed, **options)
