"""What lists and counts of jobs are of."""

from __future__ import annotations

from msgspec import Struct

from perdure.model.states import JobState

#: What jobs are counted by.
COUNTABLE = ("state", "task", "bulkhead")


class JobFilter(Struct, frozen=True):
    """Which jobs a list or a count means, as far as the ledger can say; None leaves a part open.

    Args:
        state: In this state, as people see it.
        task: Of this task.
        bulkhead: On this bulkhead.
        tag: With this tag and value.
        since: Submitted at this moment or later, epoch seconds.
        until: Submitted before this moment.
    """

    state: JobState | None = None
    task: str | None = None
    bulkhead: str | None = None
    tag: tuple[str, str] | None = None
    since: float | None = None
    until: float | None = None
