"""Run jobs in the test's own process, as a worker's child would: claim, run, settle."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

from celery.exceptions import Ignore, Retry
from perdure_workers.told import JobFailed

from perdure import JobHandle, Perdure
from perdure_workers.execute import TicketRunner
from perdure_workers.incarnation import Incarnation
from support.waiting import wait_until


def run_once(app: Perdure, job: JobHandle[Any], bulkhead: str = "normal") -> str:
    """Run one attempt of a queued job and return the state that it has then."""
    runner = TicketRunner(app, Incarnation.new("inline", bulkhead, 1), lambda: False)
    with contextlib.suppress(Retry, Ignore, JobFailed):
        runner(SimpleNamespace(id=job.id, task=job.record.task))
    return str(job.state)


def run(app: Perdure, job: JobHandle[Any], bulkhead: str = "normal") -> str:
    """Run a job until it has ended and return its last state."""
    while not job.state.is_final:
        wait_until(lambda: app.ledger.queue_due(100) or job.state == "queued", 60)
        run_once(app, job, bulkhead)
    return str(job.record.state)
