"""History in partitions: jobs that succeeded move there page by page, and the oldest partition goes as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure_workers.supervisor.forget_checkpoints import forget_checkpoints

logger = logging.getLogger("perdure.maintenance")

#: Seconds for which a job that succeeded stays in the table: who repeats what was in doubt finds it there.
REST = 3600.0
#: Jobs that one transaction moves: some 50 ms, in which nobody waits for them.
PAGE = 1_000


def archive_page(app: Perdure) -> Callable[[], int]:
    """Return what moves the next page of jobs into partitions, and returns how many; nothing where there are to be none.

    After a page that is not full it moves no more: for the few that have rested by then it would read all that have not.
    """
    after, is_end, period = "", False, app.settings.partition_period

    def step() -> int:
        nonlocal after, is_end
        if period is None or is_end:
            return 0
        moved = app.ledger.partitions.archive(period, REST, after, PAGE)
        after, is_end = max(moved, default=after), len(moved) < PAGE
        return len(moved)

    return step


def drop_oldest(app: Perdure) -> Callable[[], int]:
    """Return what drops the oldest partition all of whose jobs are older than ``retention``, and returns 1 if there is one.

    One that somebody reads for long is left for the next time, and so is one with an idempotency key that is in force.
    """

    def step() -> int:
        partitions = app.ledger.partitions
        for until in [one.until for one in partitions.existing()]:
            if until > app.ledger.clock() - app.settings.retention:
                return 0
            if partitions.protects(until):
                continue
            forget_checkpoints(app, _checkpointed(app, until))
            try:
                partitions.drop(until)
            except LedgerUnavailable as error:
                logger.warning("a partition stays until the next pruning: %s", error)
                return 0
            return 1
        return 0

    return step


def _checkpointed(app: Perdure, until: float) -> Iterator[str]:
    page = app.ledger.partitions.checkpointed(until, "", PAGE)
    while page:
        yield from page
        page = app.ledger.partitions.checkpointed(until, page[-1], PAGE)
