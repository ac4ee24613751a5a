"""What can be done to jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.manage.jobs import FILTERS
from perdure_workers.flower.ask import SOURCE, Ask, Done, to_each
from perdure_workers.flower.letter_actions import replay
from perdure_workers.shared.counted import many

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure.model.records import JobRecord

#: The states in which a job can be cancelled.
CANCELLABLE = ("scheduled", "queued", "retrying", "running")
#: Jobs that are cancelled in one go, and jobs of each state that are looked through for those with a text.
MOST_CANCELLED, LOOKED_THROUGH = 1_000, 5_000


def cancel(ask: Ask) -> Done:
    """Cancel a job, or ask it to stop."""
    job = ask.app.jobs.find(ask.of)
    if not ask.app.jobs.cancel(job.id, _because(ask, "cancelled")):
        return Done(f"The job had ended before: it is {job.state}.", good=False)
    return Done(
        "The job is cancelled." if job.state.is_final else "The job is asked to stop, and does at its next checkpoint."
    )


def restore(ask: Ask) -> Done:
    """Take the cancel of a job back."""
    moved = ask.app.jobs.restore(ask.app.jobs.find(ask.of).id, _because(ask, "its cancel was taken back"))
    return Done("The job waits again." if moved else "The job is not cancelled.", good=moved)


def run_now(ask: Ask) -> Done:
    """Run a job now that waits for its time."""
    moved = ask.app.jobs.run_now(ask.app.jobs.find(ask.of).id)
    return Done("The job runs as soon as a worker is free." if moved else "The job does not wait for a time.", good=moved)


def retry(ask: Ask) -> Done:
    """Replay the dead letter of a job."""
    letter = ask.app.jobs.find(ask.of).record.dead_letter_id
    if letter is None:
        return Done("The job has no dead letter that could be replayed.", good=False)
    return replay(dataclasses.replace(ask, of=letter, form={}))


def cancel_selected(ask: Ask) -> Done:
    """Cancel the jobs that were ticked."""
    return to_each(ask, lambda job_id: ask.app.jobs.cancel(job_id, _because(ask, "cancelled")), "cancelled")


def restore_selected(ask: Ask) -> Done:
    """Take the cancel of the ticked jobs back."""
    return to_each(ask, lambda job_id: ask.app.jobs.restore(job_id, _because(ask, "its cancel was taken back")), "restored")


def retry_selected(ask: Ask) -> Done:
    """Replay those of the ticked jobs that are dead, and run those now that wait for their time."""

    def retry(job_id: str) -> bool:
        letter = ask.app.jobs.get(job_id).record.dead_letter_id
        if letter is None:
            return ask.app.jobs.run_now(job_id)
        return not ask.app.dead_letters.replay(letter, by=ask.by, source=SOURCE).deduplicated

    return to_each(ask, retry, "run again")


def cancel_many(ask: Ask) -> Done:
    """Cancel the jobs that a filter means, so many at most that an answer comes in time."""
    jobs, are_more = cancellable(ask.app, ask.filters(FILTERS, "reason"))
    cancelled = sum(ask.app.jobs.cancel(job.id, _because(ask, "cancelled")) for job in jobs)
    if are_more:
        return Done(f"{many(cancelled, 'job')} cancelled; there may be more.", good=False)
    return Done(f"{many(cancelled, 'job')} cancelled, or asked to stop at their next checkpoint.")


def cancellable(app: Perdure, filters: Mapping[str, Any]) -> tuple[list[JobRecord], bool]:
    """Return the jobs that match and have not ended, as many as are cancelled in one go, and whether there may be more.

    Raises:
        InvalidArguments: A filter is unknown, or its value not allowed.
    """
    found: list[JobRecord] = []
    are_more = False
    for state in CANCELLABLE:
        if filters.get("state") in (None, "", state):
            room = MOST_CANCELLED - len(found)
            page = app.jobs.search(**{**filters, "state": state}, limit=room, within=LOOKED_THROUGH)
            found += page.jobs
            are_more = are_more or page.following is not None
        if len(found) == MOST_CANCELLED:
            break
    return found, are_more


def _because(ask: Ask, done: str) -> str:
    return f"{ask.text('reason') or done} (by {ask.by} in Flower)"
