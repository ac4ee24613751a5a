"""What Celery, and so Flower, is told of an attempt's end: a value or an exception that crosses to the main process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from celery.exceptions import Ignore, Retry

from perdure.announce import at_text, retry_text
from perdure.ledger.records import JobRecord, Settlement
from perdure.masking import mask_json
from perdure.states import JobState, Outcome, Transition

#: Longest text of a result or error that Flower is shown, in characters.
MAX_SHOWN = 500
#: What Flower is shown in place of what is encrypted at rest.
HIDDEN = "(encrypted)"


class Shown:
    """A result as Flower shows it: only its text crosses to the main process, not the value."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."

    def __repr__(self) -> str:
        return self.text


class JobFailed(Exception):
    """A job ended as a dead letter; what Celery and Flower are shown of the error, with the job's own traceback."""

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text, trace)
        self.trace = trace

    def __str__(self) -> str:
        return str(self.args[0])


class RunsAgain(Retry):
    """The job runs again later. Celery publishes nothing for it: the ledger has the time."""

    def __init__(self, text: str, when: datetime, trace: str = "") -> None:
        super().__init__(text, when=when)
        self.trace = trace

    def __reduce__(self) -> Any:
        return type(self), (self.message, self.when, self.trace)


class Cancelled(Ignore):
    """The job was cancelled."""


def tell(settlement: Settlement, *, seals: bool = False) -> Any:
    """Return or raise what Celery is told of a settled attempt.

    Args:
        settlement: How the attempt ended.
        seals: Whether values are encrypted in the ledger; then they do not go through the broker either.

    Raises:
        RunsAgain: The job runs again later; tells Flower so and publishes nothing.
        JobFailed: The job ended as a dead letter.
        Cancelled: The job was cancelled.
    """
    if settlement.transition is Transition.SUCCEED:
        return Shown(HIDDEN if seals else mask_json(settlement.result or "null"))
    text = _error(settlement.error_type, HIDDEN if seals else settlement.error)
    trace = "" if seals else settlement.traceback or ""
    if settlement.transition is Transition.DIE:
        raise JobFailed(text, trace)
    if settlement.outcome is Outcome.CANCELLED:
        raise Cancelled(text)
    when = datetime.now(UTC) + timedelta(seconds=settlement.delay or 0.0)
    raise RunsAgain(retry_text(text, settlement.delay), when, trace)


def tell_unclaimed(job: JobRecord | None, why: str = "") -> NoReturn:
    """Raise what Celery is told of a ticket whose job was not claimed, so that Flower goes on saying what is true.

    Args:
        job: The job that the ticket names; None when the ledger has none of that id.
        why: Why it was put off, when that is known.

    Raises:
        JobFailed: There is no such job, or it is a dead letter.
        Cancelled: The job was cancelled before it ran.
        RunsAgain: The job waits.
        Ignore: The job has run, or runs elsewhere: Flower knows.
    """
    if job is None:
        raise JobFailed("the ledger has no such job; submit jobs through perdure, a message alone runs nothing")
    if job.state is JobState.CANCELLED:
        raise Cancelled("cancelled before it ran")
    if job.state is JobState.DEAD:
        raise JobFailed(_error(job.error_type, job.error))
    if job.state in (JobState.RETRYING, JobState.SCHEDULED) and job.run_at is not None:
        raise RunsAgain(at_text(why or _error(job.error_type, job.error) or "not due yet", job.run_at), job.run_at)
    if job.state is JobState.QUEUED:
        raise RunsAgain("its bulkhead is paused, or its deadline has passed; the ledger keeps it", datetime.now(UTC))
    raise Ignore


def _error(error_type: str | None, error: str | None) -> str:
    return f"{error_type}: {error}" if error_type else error or ""
