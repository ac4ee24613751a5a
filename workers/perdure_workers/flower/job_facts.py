"""What the pages of jobs show: a list by filters, and one job. Read in threads, with secrets masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.errors import DeadLetterNotFound
from perdure.ledger.jobs import job_facts
from perdure.manage.dead_letters.halted import halted
from perdure.manage.jobs import FILTERS, job_filter
from perdure.manage.masked import masked_attempt, masked_job, masked_log
from perdure.model.dead_letter import OPEN
from perdure.model.masking import masker
from perdure.model.records import JobRecord
from perdure.model.states import JobState
from perdure_workers.flower.ask import finite

if TYPE_CHECKING:
    from perdure import Perdure

#: What lists are asked for by, as texts; a moment is told in ``hours`` ago.
ASKED = tuple(name for name in FILTERS if name not in ("since", "until"))
#: Rows of a page of a list.
PAGE = 50
#: Hours to which lists can go back: a hundred years.
LONGEST_HOURS = 876_000.0
#: The newest jobs that match the other filters, of which a list is sorted and searched.
SORTED, SEARCHED = 1_000, 5_000
#: Lines that a job's page shows of what it said, the newest ones.
SHOWN_LINES = 200
#: Jobs that are read at once in a search.
READ = 500

#: What lists are sorted by; "newest" is their own order.
SORTS: dict[str, Callable[[JobRecord], Any]] = {
    "task": lambda job: job.task,
    "state": lambda job: job.state,
    "bulkhead": lambda job: job.bulkhead,
    "attempts": lambda job: -job.attempt,
    "longest": lambda job: -_ran(job),
    "oldest": lambda job: job.id,
}


def job_list(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of jobs, and how many of the newest that match are in each state.

    Args:
        app: The application.
        asked: ``state``, ``task``, ``bulkhead``, ``tag``, ``hours``, ``text``, ``sort`` and ``after``, as texts.

    Raises:
        InvalidArguments: A filter's value is not allowed.
    """
    filters = job_filters(asked)
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


def job_filters(asked: Mapping[str, str]) -> dict[str, Any]:
    """Return what jobs are found by, as :meth:`perdure.manage.jobs.Jobs.list` takes it."""
    filters: dict[str, Any] = {name: asked[name] for name in ASKED if asked.get(name)}
    if asked.get("hours"):
        filters["since"] = datetime.now(UTC) - timedelta(hours=min(abs(finite("hours", asked["hours"])), LONGEST_HOURS))
    return filters


def job(app: Perdure, job_id: str) -> dict[str, Any]:
    """Return everything about a job, by its id or how only that begins or ends."""
    record = app.jobs.find(job_id).record
    shown, mask = _masked(app, record), masker(app.tasks.get(record.task), record.args, record.kwargs)
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
    """Return what can be done to a job now: ``cancel``, ``run-now``, ``retry``."""
    can = []
    if not record.state.is_final and record.cancel_requested_at is None:
        can.append("cancel")
    if record.state in (JobState.SCHEDULED, JobState.RETRYING):
        can.append("run-now")
    with suppress(DeadLetterNotFound):  # it was purged
        if record.dead_letter_id is not None and app.dead_letters.get(record.dead_letter_id).status == OPEN:
            can.append("retry")
    return can


def _masked(app: Perdure, record: JobRecord) -> JobRecord:
    return masked_job(app.tasks.get(record.task), record)


def _page(app: Perdure, asked: Mapping[str, str], filters: dict[str, Any]) -> tuple[list[JobRecord], str | None, str]:
    text, sort, after = asked.get("text", "").lower(), asked.get("sort", ""), asked.get("after")
    if text:
        found, following = _search(app, filters, text, after)
        note = f"Searched in {SEARCHED:,} jobs that match the rest."
    elif sort in SORTS:
        found, following = [_masked(app, handle.record) for handle in app.jobs.list(limit=SORTED, **filters)], None
        note = f"Sorted within the newest {SORTED:,} that match."
    else:
        records = [handle.record for handle in app.jobs.list(limit=PAGE + 1, after=after, **filters)]
        found, note = [_masked(app, record) for record in records[:PAGE]], ""
        following = found[-1].id if len(records) > PAGE else None
    return sorted(found, key=SORTS[sort])[:PAGE] if sort in SORTS else found, following, note


def _search(app: Perdure, filters: dict[str, Any], text: str, after: str | None) -> tuple[list[JobRecord], str | None]:
    """Return jobs in whose arguments or error a text stands, and where the search goes on.

    It goes by what is shown: a masked secret is not found by guessing.
    """
    found: list[JobRecord] = []
    for _ in range(SEARCHED // READ):
        page = [_masked(app, handle.record) for handle in app.jobs.list(limit=READ, after=after, **filters)]
        found += [job for job in page if text in _words(job)]
        if len(found) > PAGE:
            return found[:PAGE], found[PAGE - 1].id
        if len(page) < READ:
            return found, None
        after = page[-1].id
    return found, after


def _words(job: JobRecord) -> str:
    call = msgspec.json.encode([job.args, job.kwargs]).decode()
    return f"{call} {job.error_type or ''} {job.error or ''}".lower()


def _counts(app: Perdure, filters: dict[str, Any]) -> dict[str, int]:
    which = job_filter(**filters)
    counts = app.ledger.read(lambda c: job_facts.count_newest(c, which))
    return {state.value: counts.get(state.value, 0) for state in JobState}


def _ran(job: JobRecord) -> float:
    if job.started_at is None:
        return -1.0
    return ((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds()
