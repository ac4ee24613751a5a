"""Bars of commands that take a while; on standard error, so that scripts read what the command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def progress(counted: str = "") -> Progress:
    """Return a progress display whose descriptions are text and never markup.

    Args:
        counted: What is counted, where no total is known; empty shows a bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console, described = Console(stderr=True), TextColumn("{task.description}", markup=False)
    if counted:
        return Progress(described, TextColumn(f"{{task.completed}} {counted}", markup=False), console=console)
    return Progress(described, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console)
