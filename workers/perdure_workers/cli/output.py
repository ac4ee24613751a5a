"""How commands print: tables for people, JSON for scripts; and how they end."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click

from perdure.model.text.safe import many_lines, one_line


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
_IDS = ("id", "job", "letter", "dead letter")
#: Last characters of an id that are shown where a terminal is too narrow for all: every command takes them for it.
_SHORT_ID = 12
#: Width of a table that no terminal shows, in characters.
_PIPED = 200
#: What separates two columns, in characters.
_GAP = 2
#: Characters that JSON lets stand as they are and a terminal must not get.
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object on each line, for scripts.")


def say(text: object = "", *, err: bool = False, fg: str | None = None) -> None:
    """Print one line for people. Whatever a job has put into it moves no cursor, hides nothing and forges no line.

    Args:
        text: What to print.
        err: Whether it goes to standard error.
        fg: Its colour on a terminal.
    """
    click.secho(one_line(text), err=err, fg=fg)


def say_lines(text: object, *, indent: str = "", err: bool = False, fg: str | None = None) -> None:
    """Print a text of several lines, such as a traceback; ``indent`` is put before all but the first."""
    click.secho(many_lines(text).replace("\n", f"\n{indent}"), err=err, fg=fg)


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    import msgspec

    _echo_json(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain, order="deterministic"), indent=2).decode())


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    import msgspec

    _echo_json(msgspec.json.encode(value, enc_hook=_plain, order="deterministic").decode())


def _echo_json(text: str) -> None:
    click.echo(_UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows as a table as wide as the terminal, or wide when none shows it. Cells are text and never markup.

    Ids are never cut by a line's end, since people copy them from here; a narrow terminal shows their last characters.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(value) for value in row] for row in rows]
    console = Console(highlight=False)
    is_for_people = console.is_terminal or "COLUMNS" in os.environ
    width = console.width if is_for_people else _PIPED
    if _needed(columns, cells) > width:
        ids = [number for number, name in enumerate(columns) if name in _IDS]
        cells = [[cell[-_SHORT_ID:] if number in ids else cell for number, cell in enumerate(row)] for row in cells]
    table = Table(
        title=Text(one_line(title)) if title else None,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )
    for name in columns:
        table.add_column(Text(name), no_wrap=name in _IDS, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(width=width, highlight=False).print(table)


def _needed(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the characters that a table takes when nothing is folded."""
    return sum(max(len(text) for text in column) + _GAP for column in zip(columns, *rows, strict=True))


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
    return "" if value is None else one_line(value)


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
