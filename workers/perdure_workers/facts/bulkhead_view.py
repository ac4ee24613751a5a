"""A bulkhead as the overview shows it: what is in it, who serves it, and its last hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.ledger.jobs.history import Ended, added, percentile
from perdure.manage.bulkheads import Bulkhead
from perdure.model.clock import to_datetime
from perdure.model.records import WorkerRecord


@dataclass(frozen=True, slots=True)
class BulkheadView:
    """A bulkhead at a glance; run times in seconds.

    Attributes:
        ended: Attempts that ended in each minute of the last hour, the current one last; None for one not read yet.
        failed: Those of them that failed.
        p95_by_minute: Within what time 95 % of them ran; None where none did.
        p50: Within what time half of the last hour's ran.
        p95: Within what time 95 % of the last hour's ran.
    """

    name: str
    queued: int
    running: int
    waiting: int
    oldest_wait: float | None
    paused: bool
    paused_by: str | None
    paused_since: datetime | None
    reason: str | None
    workers: int
    slots: int
    ended: list[int | None]
    failed: list[int | None]
    p95_by_minute: list[float | None]
    p50: float | None
    p95: float | None


def bulkhead_view(
    bulkhead: Bulkhead,
    paused_at: float | None,
    workers: Sequence[WorkerRecord],
    hour: Sequence[Sequence[Ended] | None],
) -> BulkheadView:
    """Return what is shown of a bulkhead.

    Args:
        bulkhead: What is in it now.
        paused_at: Since when it is paused, epoch seconds.
        workers: All live workers.
        hour: What ended in each of the last minutes, in all bulkheads.
    """
    counts = bulkhead.counts
    serving = [worker for worker in workers if worker.bulkhead == bulkhead.name and not worker.draining]
    minutes = [None if one is None else [each for each in one if each.bulkhead == bulkhead.name] for one in hour]
    runs = [None if one is None else added(each.runs for each in one) for one in minutes]
    whole = added(one for one in runs if one)
    return BulkheadView(
        name=bulkhead.name,
        queued=counts.queued,
        running=counts.running,
        waiting=counts.waiting,
        oldest_wait=counts.oldest_wait,
        paused=counts.paused,
        paused_by=counts.paused_by,
        paused_since=to_datetime(paused_at),
        reason=counts.reason,
        workers=len(serving),
        slots=sum(worker.concurrency for worker in serving),
        ended=[None if one is None else sum(each.succeeded + each.failed for each in one) for one in minutes],
        failed=[None if one is None else sum(each.failed for each in one) for one in minutes],
        p95_by_minute=[None if one is None else percentile(one, 0.95) for one in runs],
        p50=percentile(whole, 0.5),
        p95=percentile(whole, 0.95),
    )
