"""Logging of the platform's processes, to standard error: one line an event, which says for which job."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from perdure.model.masking import NOTHING, Masker
from perdure.model.records import Claim
from perdure.model.text.safe import many_lines, one_line
from perdure_workers.repeats import Repeats

FORMAT = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"
#: What lines that belong to the one before begin with: no text of a job begins a line of the log.
CONTINUED = "  | "
#: How the platform's own threads are named: what they log is not said by the job that runs meanwhile.
OWN_THREADS = "perdure-"

#: What hides the secrets of the job that this process runs, or ran last: it runs one at a time.
_hidden: Masker = NOTHING
#: That job, while it runs.
_job: Claim | None = None
#: The trace that it belongs to; empty for none.
_trace_id = ""
#: Whose process this is: its worker and bulkhead.
_process: dict[str, str] = {}


def in_job(claim: Claim, mask: Masker, trace_id: str = "") -> None:
    """Say for which job this process logs from now on.

    Args:
        claim: The job that begins.
        mask: Takes its secrets, and no others, out of each line.
        trace_id: The trace that it belongs to, 32 hexadecimal digits; empty for none.
    """
    global _hidden, _job, _trace_id
    _hidden, _job, _trace_id = mask, claim, trace_id


def between_jobs() -> None:
    """Say that the job has ended; its secrets stay hidden, since its error is still told of."""
    global _job
    _job = None


def in_worker(name: str, bulkhead: str) -> None:
    """Say whose process this is, and those that it forks."""
    _process.update(worker=name, bulkhead=bulkhead)


def context_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return whose a line in a job is: ``job``, ``task``, ``attempt``, ``worker``, ``bulkhead``, and ``trace_id``."""
    job = _job
    if job is None or (record.threadName or "").startswith(OWN_THREADS):
        return {}
    named = {"job": job.job_id, "task": job.task, "attempt": job.attempt}
    traced = {"trace_id": _trace_id} if _trace_id else {}
    return {**named, "worker": job.worker_name, "bulkhead": job.bulkhead, **traced}


class SafeFormatter(logging.Formatter):
    """Writes an event as one line, and its traceback as indented ones, whatever a job's error holds.

    The secrets of the job that runs are masked, also in what its own code logs.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the event's line."""
        of = " ".join(f"{name}={value}" for name, value in context_of(record).items())
        return one_line(super().formatMessage(record) + (f" [{of}]" if of else ""))

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line, and those of its traceback."""
        first, *more = _hidden.text(super().format(record)).split("\n")
        return "\n".join([first, *(f"{CONTINUED}{many_lines(line)}" for line in more)])


class JsonFormatter(logging.Formatter):
    """Writes an event as one JSON object on one line, for collectors of logs; secrets are masked as in text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: ``time``, ``level``, ``logger``, ``process``, ``message``, whose it is, and ``exception``."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            **_process,
            **context_of(record),
            "message": _hidden.text(record.getMessage()),
        }
        if record.exc_info:
            facts["exception"] = _hidden.text(self.formatException(record.exc_info))
        if record.stack_info:
            facts["stack"] = _hidden.text(self.formatStack(record.stack_info))
        return json.dumps(facts)


def configure_logging(level: str, form: str = "text") -> None:
    """Log to standard error.

    Args:
        level: The least important level that is logged, such as ``INFO``.
        form: ``text``, or ``json`` for one JSON object a line.
    """
    handler = logging.StreamHandler()
    handler.addFilter(Repeats())
    handler.setFormatter(JsonFormatter() if form == "json" else SafeFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
