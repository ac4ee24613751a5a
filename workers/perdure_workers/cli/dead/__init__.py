"""``perdure dead``: dead letters."""

from __future__ import annotations

import click

from perdure_workers.cli.dead.find import audit, groups, list_letters, show_letter
from perdure_workers.cli.dead.replay import replay
from perdure_workers.cli.dead.resolve import discard, note, purge, reopen
from perdure_workers.cli.dead.transfer import export, import_


@click.group()
def dead() -> None:
    """Find, understand, replay and resolve dead letters."""


for _command in (list_letters, groups, show_letter, replay, discard, reopen, note, purge, export, import_, audit):
    dead.add_command(_command)
