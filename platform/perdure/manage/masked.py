"""Jobs, attempts and dead letters as people are shown them: without the secrets of their calls, by name and by value.

Every way out for people goes through here: commands, pages, exports, and what a worker records of an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perdure.model.dead_letter import DeadLetterDetail
from perdure.model.job_log import LogLine
from perdure.model.masking import NOTHING, Masker, mask_call, masker
from perdure.model.records import AttemptRecord, Claim, DeadLetterRecord, JobRecord, Settlement
from perdure.sealing import is_stored

if TYPE_CHECKING:
    from perdure.model.task_spec import TaskSpec
    from perdure.sealing import Vault


def masker_of(claim: Claim, task: TaskSpec | None, vault: Vault) -> Masker:
    """Return what takes the secrets of a claimed job out of what it leaves; never raises.

    Args:
        claim: The claim.
        task: Its task; None when this process does not know it.
        vault: What opens its arguments.
    """
    try:
        return masker(task, *vault.call_of(claim))
    except Exception:  # noqa: BLE001 - arguments that cannot be opened or read have told the job nothing either
        return NOTHING


def masked_settlement(settlement: Settlement, mask: Masker) -> Settlement:
    """Return how an attempt ended without its call's secrets in error and traceback; its result is the program's own."""
    if not mask:
        return settlement
    return replace(settlement, error=mask.optional(settlement.error), traceback=mask.optional(settlement.traceback))


def masked_job(task: TaskSpec | None, job: JobRecord) -> JobRecord:
    """Return a job without its secrets.

    Args:
        task: Its task; None when this process does not know it.
        job: The job.
    """
    args, kwargs = mask_call(task, job.args, job.kwargs)
    mask = masker(task, job.args, job.kwargs)
    result = job.result_json
    progress = job.progress and replace(job.progress, message=mask.text(job.progress.message or ""))
    return replace(
        job,
        args=args,
        kwargs=kwargs,
        result_json=mask.json(result) if result and not is_stored(result) else result,
        error=mask.optional(job.error),
        tags=mask.value(job.tags),
        idempotency_key=mask.optional(job.idempotency_key),
        limit_key=mask.optional(job.limit_key),
        progress=progress,
    )


def masked_attempt(attempt: AttemptRecord, mask: Masker) -> AttemptRecord:
    """Return an attempt without its call's secrets."""
    return replace(attempt, error=mask.optional(attempt.error), traceback=mask.optional(attempt.traceback))


def masked_letter(task: TaskSpec | None, letter: DeadLetterRecord) -> DeadLetterRecord:
    """Return a dead letter without its secrets, and without the message that it was made of.

    Args:
        task: Its task; None when this process does not know it.
        letter: The dead letter.
    """
    args, kwargs = mask_call(task, letter.args, letter.kwargs)
    mask = masker(task, letter.args, letter.kwargs)
    return replace(
        letter,
        args=args,
        kwargs=kwargs,
        error=mask.optional(letter.error),
        traceback=mask.optional(letter.traceback),
        tags=mask.value(letter.tags),
        note=mask.optional(letter.note),
        raw=None,
    )


def masked_detail(task: TaskSpec | None, detail: DeadLetterDetail) -> DeadLetterDetail:
    """Return everything about a dead letter without its secrets; see :func:`masked_letter`."""
    letter = detail.letter
    mask = masker(task, letter.args, letter.kwargs)
    group = detail.group and replace(detail.group, error=mask.optional(detail.group.error))
    return replace(
        detail,
        letter=masked_letter(task, letter),
        attempts=[masked_attempt(attempt, mask) for attempt in detail.attempts],
        group=group,
        audit=[replace(entry, detail=mask.value(entry.detail)) for entry in detail.audit],
        log=masked_log(detail.log, mask),
    )


def masked_log(lines: Iterable[LogLine], mask: Masker) -> list[LogLine]:
    """Return what a job has said without its call's secrets."""
    return [replace(line, text=mask.text(line.text)) for line in lines]
