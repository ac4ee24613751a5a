"""How commands print: tables for people, JSON for scripts; and how they end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import click

from perdure.model.text.safe import json_text, many_lines, one_line


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
#: Columns that nobody can read or copy in pieces.
_WHOLE = (*_IDS, "fingerprint", "last 24 h")
#: Width of a table that no terminal shows, in characters.
_PIPED = 200
#: What separates two columns, in characters.
_GAP = 2
#: Characters of a word up to which it is broken last.
_WORD = 11

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
    """Print a value as one JSON document, the fields of each object by name."""
    import msgspec

    document = msgspec.json.encode(value, enc_hook=_plain, order="sorted")
    click.echo(json_text(msgspec.json.format(document, indent=2).decode()))


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    import msgspec

    click.echo(json_text(msgspec.json.encode(value, enc_hook=_plain, order="deterministic").decode()))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows as a table as wide as the terminal, or wide when none shows it. Cells are text and never markup.

    Where it does not fit, columns in which nothing stands are left out, ids are their last characters, and the longest
    columns give way first: states, counts and names stay whole as long as there is room.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    texts: list[Sequence[str]]
    texts = [(name.replace("_", " "), *map(_cell, values)) for name, *values in zip(columns, *rows, strict=True)]
    console = Console(highlight=False)
    is_for_people = console.is_terminal or "COLUMNS" in os.environ
    width = console.width if is_for_people else _PIPED
    if _needed(map(_longest, texts)) > width:
        texts = [_shortened(column) for column in texts if len(column) == 1 or any(column[1:])]
    table = Table(
        title=Text(one_line(title)) if title else None,
        title_justify="left",
        header_style="bold",
        show_header=any(columns),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for column, its_width in zip(texts, _widths(texts, width), strict=True):
        table.add_column(Text(column[0]), width=its_width, no_wrap=column[0] in _WHOLE, overflow="fold")
    for row in zip(*(column[1:] for column in texts), strict=True):
        table.add_row(*map(Text, row))
    Console(width=width, highlight=False).print(table, *([""] if title else []))


def _widths(texts: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return how wide each column is to be, so that the longest ones give way first."""
    natural = [_longest(column) for column in texts]
    for word in range(_WORD, 0, -1):
        least = [_longest(column) if column[0] in _WHOLE else min(word, _longest_word(column)) for column in texts]
        for level in range(max(natural, default=0), 0, -1):
            found = [max(floor, min(full, level)) for floor, full in zip(least, natural, strict=True)]
            if _needed(found) <= width:
                return found
    return natural


def _needed(widths: Iterable[int]) -> int:
    """Return the characters that a table of columns of these widths takes."""
    return sum(each + _GAP for each in widths) - _GAP


def _longest(column: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, column))


def _longest_word(column: Sequence[str]) -> int:
    return max((_longest(text.split()) for text in column if text.strip()), default=0)


def _shortened(column: Sequence[str]) -> Sequence[str]:
    return (column[0], *(text[-_SHORT_ID:] for text in column[1:])) if column[0] in _IDS else column


def show(as_json: bool, records: Sequence[Any], columns: dict[str, Callable[[Any], Any]]) -> None:
    """Print records as JSON, or as a table with these columns."""
    if as_json:
        print_json(records)
    else:
        print_table(list(columns), ([value(record) for value in columns.values()] for record in records))


def rows_of(records: Iterable[Any], columns: Sequence[str]) -> list[list[Any]]:
    """Return the fields of records as rows of a table; an error's type by the name that people know."""
    from perdure.model.text.error_names import short_name

    def shown(name: str, value: Any) -> Any:
        return short_name(value) if name == "error_type" and value else value

    return [[shown(name, getattr(record, name)) for name in columns] for record in records]


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
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    return one_line(value)


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
