"""Logging of the platform's processes: one line an event, to standard error."""

from __future__ import annotations

import logging

from perdure.model.masking import NOTHING, Masker
from perdure.model.text.safe import many_lines, one_line

FORMAT = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"
#: What lines that belong to the one before begin with: no text of a job begins a line of the log.
CONTINUED = "  | "


#: What hides the secrets of the job that this process runs, or ran last: it runs one at a time.
_hidden: Masker = NOTHING


def hide_in_logs(mask: Masker) -> None:
    """Take these secrets, and no others, out of what this process logs from now on."""
    global _hidden
    _hidden = mask


class SafeFormatter(logging.Formatter):
    """Writes an event as one line, and its traceback as indented ones, whatever a job's error holds.

    The secrets of the job that runs are masked, also in what its own code logs.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the event's line."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line, and those of its traceback."""
        first, *more = _hidden.text(super().format(record)).split("\n")
        return "\n".join([first, *(f"{CONTINUED}{many_lines(line)}" for line in more)])


def configure_logging(level: str) -> None:
    """Log to standard error.

    Args:
        level: The least important level that is logged, such as ``INFO``.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
