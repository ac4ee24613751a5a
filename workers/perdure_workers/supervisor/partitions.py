"""History in partitions: the oldest one goes as a whole. What moves jobs there is the duty ``rotate``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure_workers.supervisor.forget_checkpoints import forget_checkpoints

logger = logging.getLogger("perdure.maintenance")

#: Jobs whose checkpoints are looked for at once.
PAGE = 1_000


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
