"""How commands show what a job has said."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.model.job_log import LogLine
from perdure.model.text.folding import folded
from perdure_workers.cli.output import say, say_lines

#: What further lines of a text begin with, so that none looks like a line of its own.
_CONTINUED = "  | "


def print_log(lines: Sequence[LogLine], left_out: int = 0) -> None:
    """Print lines, each with its time (UTC), its attempt and its level.

    Args:
        lines: The lines.
        left_out: How many before the first one were not kept.
    """
    for line in lines:
        if left_out > 0:
            say(f"... {left_out} lines before this one were not kept ...")
        left_out = 0
        say_lines(f"{line.at:%Y-%m-%d %H:%M:%S} #{line.attempt} {line.level:<7} {folded(line.text)}", indent=_CONTINUED)
