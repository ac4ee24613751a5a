"""Jobs in whose arguments or error a text stands, as people are shown them: a masked secret is not found by guessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from perdure.manage.masked import masked_job
from perdure.model.records import JobRecord

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.model.job_filter import JobFilter
    from perdure.model.task_spec import TaskSpec

#: Jobs that are read at once.
READ = 500


class Found(msgspec.Struct, frozen=True):
    """What a search has found.

    Attributes:
        jobs: The jobs, the newest first.
        following: The id after which there may be more; None when there are none.
    """

    jobs: list[JobRecord]
    following: str | None


class JobSearch:
    """Looks through jobs for a text.

    Args:
        ledger: Where they are.
        tasks: The application's tasks by name: they know what is a secret.
    """

    def __init__(self, ledger: Ledger, tasks: Mapping[str, TaskSpec]) -> None:
        self._ledger = ledger
        self._tasks = tasks

    def find(
        self, which: JobFilter, text: str, *, limit: int, after: str | None = None, within: int | None = None
    ) -> Found:
        """Return the newest jobs that match.

        Args:
            which: Which jobs are looked at.
            text: What stands in them; empty for all.
            limit: The most to return.
            after: The id after which it goes on.
            within: The most jobs that are looked at; None for all.
        """
        if not text:
            page = self._ledger.jobs.listing(limit=limit + 1, after=after, **asdict(which))
            return Found(page[:limit], page[limit - 1].id if len(page) > limit else None)
        found: list[JobRecord] = []
        for looked_at, job in enumerate(self._all(which, after)):
            if looked_at == within:
                return Found(found, after)
            if self._has(job, text):
                if len(found) == limit:
                    return Found(found, found[-1].id)
                found.append(job)
            after = job.id
        return Found(found, None)

    def count(self, which: JobFilter, text: str, by: str) -> dict[str, int]:
        """Return how many jobs have a text, by ``state``, ``task`` or ``bulkhead``."""
        return dict(Counter(str(getattr(job, by)) for job in self._all(which, None) if self._has(job, text)))

    def _all(self, which: JobFilter, after: str | None) -> Iterator[JobRecord]:
        while True:
            page = self._ledger.jobs.listing(limit=READ, after=after, **asdict(which))
            yield from page
            if len(page) < READ:
                return
            after = page[-1].id

    def _has(self, job: JobRecord, text: str) -> bool:
        shown = masked_job(self._tasks.get(job.task), job)
        call = msgspec.json.encode([shown.args, shown.kwargs]).decode()
        return text.lower() in f"{call} {shown.error_type or ''} {shown.error or ''}".lower()
