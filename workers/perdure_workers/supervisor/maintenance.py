"""The platform's own periodic job: deleting what is older than the retention settings, in small batches or partitions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from perdure import JobContext, Perdure
from perdure.model.states import JobState
from perdure_workers.notifiers.delivery import register_notify
from perdure_workers.supervisor.forget_checkpoints import forget_checkpoints
from perdure_workers.supervisor.partitions import drop_oldest

logger = logging.getLogger("perdure.maintenance")

NAME = "perdure.prune"
BULKHEAD = "background"
#: Seconds from one pruning to the next.
EVERY = 3600.0
#: Rows that one transaction deletes: a fraction of a second, so that nobody waits long for it.
PAGE = 200
#: Jobs that one transaction deletes. All who write to SQLite wait for its end, some 5 ms; on PostgreSQL nobody does, and
#: a page takes 25 ms.
JOBS_PAGE = {"sqlite": 250, "postgresql": 1_000}
#: How many times as long as a page took it rests until the next: jobs come first. Beside much else a page takes longer and
#: so does the rest, for so many seconds at most: then 500 jobs a second go on PostgreSQL, as many as a busy platform makes.
REST, LONGEST_REST = 20.0, 2.0


def register_maintenance(app: Perdure) -> None:
    """Add the platform's own jobs to an application, once; workers and supervisors do."""
    app.bulk_replay()
    register_notify(app)
    if NAME in app.tasks:
        return

    def prune_ledger(ctx: JobContext) -> dict[str, int]:
        """Delete finished jobs, dead letters that were dealt with, and ended workers when their time is over."""
        return prune(app, between=ctx.check)

    app.periodic(every=EVERY, missed="run_once", name=NAME, bulkhead=BULKHEAD, retry="fast", priority=9)(prune_ledger)


def prune(app: Perdure, between: Callable[[], object] = lambda: None) -> dict[str, int]:
    """Delete what is old and return how many rows of each kind went.

    Args:
        app: The application.
        between: Called after each batch; may raise to stop.
    """
    ledger, keep, keep_dead = app.ledger, app.settings.retention, app.settings.dead_retention
    steps: dict[str, Callable[[], int]] = {
        "partitions": drop_oldest(app),
        "succeeded": _page_of_jobs(app, JobState.SUCCEEDED, keep),
        "cancelled": _page_of_jobs(app, JobState.CANCELLED, keep),
        "dead": _page_of_jobs(app, JobState.DEAD, keep_dead),
        "dead_letters": lambda: ledger.letters.prune(keep_dead, PAGE),
        "dead_letter_records": lambda: ledger.letters.prune_leftovers(keep_dead, PAGE),
        "workers": lambda: ledger.workers.prune(keep, PAGE),
        "alerts": lambda: ledger.alerts.prune(keep_dead, PAGE),
    }
    return {name: _all(step, between) for name, step in steps.items()}


def _page_of_jobs(app: Perdure, state: JobState, retention: float) -> Callable[[], int]:
    """Return what deletes the next page of jobs, and their checkpoints where these are kept elsewhere."""
    after, page = "", JOBS_PAGE[app.ledger.database.dialect]

    def step() -> int:
        nonlocal after
        pruned = app.ledger.jobs.prune(state, retention, after, page)
        forget_checkpoints(app, pruned)
        after = max(pruned, default=after)
        return len(pruned)

    return step


def _all(step: Callable[[], int], between: Callable[[], object]) -> int:
    total = 0
    while True:
        began = time.monotonic()
        count = step()
        took = time.monotonic() - began
        if count == 0:
            return total
        total += count
        between()
        time.sleep(min(LONGEST_REST, REST * took))
