"""``ctx.log``: a logger whose lines go to the process' log, and are kept with the job."""

from __future__ import annotations

import logging
from collections.abc import Callable

from perdure.model.job_log import JobLog, Said

#: The logger that passes on what jobs say.
NAME = "perdure.job"
#: Longest line that is kept, in characters; the end of a longer one is cut off.
LONGEST_LINE = 10_000

_FORMATTER = logging.Formatter("%(message)s")


class JobLogger(logging.Logger):
    """A logger like any other, whose lines are kept as well.

    Args:
        log: What keeps them.
        now: The ledger's time, epoch seconds.
        told: Called after each line that was kept.
        level: The least important level that is kept.
    """

    def __init__(self, log: JobLog, now: Callable[[], float], told: Callable[[], object], level: int) -> None:
        self._shown = logging.getLogger(NAME)
        super().__init__(NAME, min(level, self._shown.getEffectiveLevel()))
        self._log_of_job, self._now, self._told, self._kept_from = log, now, told, level

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Keep a line and pass it on to the process' log, if that takes its level."""
        if record.levelno >= self._kept_from:
            self._log_of_job.add(Said(self._now(), record.levelname, _text(record)))
            self._told()
        if self._shown.isEnabledFor(record.levelno):
            self._shown.callHandlers(record)


def _text(record: logging.LogRecord) -> str:
    """Return what a record says; one whose arguments do not fit must not fail the job."""
    try:
        text = _FORMATTER.format(record)
    except Exception:  # noqa: BLE001 - whatever an argument's repr raises
        text = f"{record.msg if isinstance(record.msg, str) else type(record.msg).__name__} (what it says does not fit)"
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} ... {len(text) - LONGEST_LINE} characters cut"
