"""Commands that are loaded when they are called: each one waits for what it needs itself, and for nothing else."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands that are named by where they are.

    Args:
        places: For each command ``module:attribute``.
        attributes: What :class:`click.Group` takes.
    """

    def __init__(self, *, places: dict[str, str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loaded now, or None when there is none of that name."""
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"perdure_workers.{module}"), attribute)
        return command
