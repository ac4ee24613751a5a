"""How commands print: tables for people, JSON for scripts; and how they end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table


class Exit(IntEnum):
    """Exit codes. 1 is for what the platform reports, 2 for a wrong command line."""

    OK = 0
    ERROR = 1
    USAGE = 2
    JOB_DEAD = 3
    JOB_CANCELLED = 4
    TIMED_OUT = 5
    HALTED = 6


#: Columns of ids.
_IDS = ("id", "job", "letter", "dead letter", "fingerprint")
#: Characters to which the other columns shrink at most; a terminal that is too narrow for that wraps lines.
_NARROWEST = 12
#: Width of a table that no terminal shows, in characters.
_PIPED = 200

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    text = msgspec.json.encode(value, enc_hook=_plain, order="deterministic")
    click.echo(msgspec.json.format(text, indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows as a table; ids are never cut, since people copy them from here."""
    table = Table(title=title, title_justify="left", header_style="bold")
    cells = [[_cell(value) for value in row] for row in rows]
    needed = 1
    for number, name in enumerate(columns):
        is_id = name in _IDS
        table.add_column(name, no_wrap=is_id, overflow="fold")
        longest = max(len(name), *(len(row[number]) for row in cells)) if cells else len(name)
        needed += (longest if is_id else min(longest, _NARROWEST)) + len(" | ")
    for row in cells:
        table.add_row(*row)
    console = Console()
    is_for_people = console.is_terminal or "COLUMNS" in os.environ
    Console(width=max(console.width, needed) if is_for_people else _PIPED).print(table)


def show(as_json: bool, records: Sequence[Any], columns: dict[str, Callable[[Any], Any]]) -> None:
    """Print records as JSON, or as a table with these columns."""
    if as_json:
        print_json([dataclasses.asdict(record) for record in records])
    else:
        print_table(list(columns), ([value(record) for value in columns.values()] for record in records))


def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was, in words."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    sign, seconds = ("in " if seconds < 0 else ""), abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{sign}{seconds / size:.1f} {unit}{'' if sign else ' ago'}"
    return f"{sign}{seconds:.1f} s{'' if sign else ' ago'}"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("[", r"\[")  # a job's text is text, never markup


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
