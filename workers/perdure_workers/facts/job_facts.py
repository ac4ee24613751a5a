"""What the pages of jobs show: a list by filters, and one job. Read in threads, with secrets masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from perdure.errors import DeadLetterNotFound
from perdure.ledger.jobs import job_facts
from perdure.manage.dead_letters.bulk_replay import NAME as BULK_REPLAY
from perdure.manage.dead_letters.halted import halted
from perdure.manage.jobs import job_filter
from perdure.manage.masked import masked_attempt, masked_job, masked_log
from perdure.model.dead_letter import OPEN
from perdure.model.masking import masker
from perdure.model.records import JobRecord
from perdure.model.states import JobState

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure.submit.task import Task

#: What a list is asked for besides its filters.
HOW = ("sort", "after")
#: Rows of a page of a list.
PAGE = 50
#: The newest jobs that match the other filters, of which a list is sorted and searched.
SORTED, SEARCHED = 1_000, 5_000
#: Lines that a job's page shows of what it said, the newest ones.
SHOWN_LINES = 200

#: What lists are sorted by; "newest" is their own order.
SORTS: dict[str, Callable[[JobRecord], Any]] = {
    "task": lambda job: job.task,
    "state": lambda job: job.state,
    "bulkhead": lambda job: job.bulkhead,
    "attempts": lambda job: -job.attempt,
    "longest": lambda job: -_ran(job),
    "oldest": lambda job: job.id,
}


def task_of(app: Perdure, name: str) -> Task[..., Any] | None:
    """Return a task, by which a job's arguments are masked; None when this application does not know it.

    Bulk replays are known to all: their task is added by who needs it first.
    """
    return app.bulk_replay() if name == BULK_REPLAY else app.tasks.get(name)


def job_list(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of jobs, and how many of the newest that match are in each state.

    Args:
        app: The application.
        asked: The filters of :meth:`perdure.manage.jobs.Jobs.list`, ``sort`` and ``after``, as texts.

    Raises:
        InvalidArguments: A filter is unknown, or its value not allowed.
    """
    filters: dict[str, Any] = {name: text for name, text in asked.items() if name not in HOW}
    page, following, note = _page(app, asked, filters)
    return {
        "jobs": page,
        "halted": {job.id for job in page if halted(job) is not None},
        "next": following,
        "note": note,
        "tasks": sorted(app.tasks),
        "counts": _counts(app, filters),
        "counted": job_facts.COUNTED,
        "now": datetime.now(UTC),
    }


def job(app: Perdure, job_id: str) -> dict[str, Any]:
    """Return everything about a job, by its id or how only that begins or ends."""
    record = app.jobs.find(job_id).record
    shown, mask = _masked(app, record), masker(task_of(app, record.task), record.args, record.kwargs)
    return {
        "job": shown,
        "halted": halted(record),
        "can": possible(app, record),
        "attempts": [masked_attempt(attempt, mask) for attempt in app.ledger.jobs.attempts(record.id)],
        "why": [] if record.state.is_final or record.state is JobState.RUNNING else app.jobs.why(record.id),
        "cancelled": app.ledger.read(lambda c: job_facts.cancel_reason(c, record.id)),
        "checkpoints": app.ledger.letters.checkpoints(record.id),
        "steps": [mask.text(step.name) for step in app.ledger.running.steps_of(record.id)],
        "notes": [replace(note, text=mask.text(note.text)) for note in app.ledger.jobs.notes_of(record.id)],
        "log": masked_log(app.ledger.jobs.log_of(record.id, record.task)[-SHOWN_LINES:], mask),
        "lineage": app.dead_letters.lineage(record.id),
        "result": msgspec.json.decode(shown.result_json) if shown.result_json and "result" not in shown.unopened else None,
        "now": datetime.now(UTC),
    }


def possible(app: Perdure, record: JobRecord) -> list[str]:
    """Return what can be done to a job now: ``cancel``, ``restore``, ``run-now``, ``retry``."""
    can = []
    if not record.state.is_final and record.cancel_requested_at is None:
        can.append("cancel")
    if record.state == JobState.CANCELLED:
        can.append("restore")
    if record.state in (JobState.SCHEDULED, JobState.RETRYING):
        can.append("run-now")
    with suppress(DeadLetterNotFound):  # it was purged
        if record.dead_letter_id is not None and app.dead_letters.get(record.dead_letter_id).status == OPEN:
            can.append("retry")
    return can


def _masked(app: Perdure, record: JobRecord) -> JobRecord:
    return masked_job(task_of(app, record.task), record)


def _page(app: Perdure, asked: Mapping[str, str], filters: dict[str, Any]) -> tuple[list[JobRecord], str | None, str]:
    sort = SORTS.get(asked.get("sort", ""))
    found = app.jobs.search(limit=SORTED if sort else PAGE, after=asked.get("after") or None, within=SEARCHED, **filters)
    page = [_masked(app, record) for record in found.jobs]
    notes = [f"Searched in {SEARCHED:,} jobs that match the rest."] if filters.get("text") else []
    if sort is None:
        return page, found.following, "".join(notes)
    notes.append(f"Sorted within the newest {SORTED:,} that match.")
    return sorted(page, key=sort)[:PAGE], None, " ".join(notes)


def _counts(app: Perdure, filters: dict[str, Any]) -> dict[str, int]:
    others = {name: value for name, value in filters.items() if name != "state"}
    which, text = job_filter(**others)
    if text:
        found = app.jobs.search(limit=SEARCHED, within=SEARCHED, **others).jobs
        counts: Mapping[str, int] = Counter(job.state.value for job in found)
    else:
        counts = app.ledger.read(lambda c: job_facts.count_newest(c, which))
    return {state.value: counts.get(state.value, 0) for state in JobState}


def _ran(job: JobRecord) -> float:
    if job.started_at is None:
        return -1.0
    return ((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds()
