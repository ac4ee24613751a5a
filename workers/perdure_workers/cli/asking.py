"""Asking before a command does much at once."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def ask(question: str, *, yes: bool) -> None:
    """Go on only if the user says so.

    Args:
        question: What would be done, with its count.
        yes: Whether the user has said so already.

    Raises:
        Abort: The user says no.
        UsageError: There is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to answer: say --yes.")
    click.confirm(question, abort=True)
