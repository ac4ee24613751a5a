"""How commands print: tables for people, JSON for scripts; and how they end."""

from __future__ import annotations

import dataclasses
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


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    text = msgspec.json.encode(value, enc_hook=_plain, order="deterministic")
    click.echo(msgspec.json.format(text, indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows as a table."""
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


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
