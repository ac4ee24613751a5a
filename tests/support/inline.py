"""Run jobs in the test's own process, as a worker's child would: claim, run, settle."""

from __future__ import annotations

from typing import Any

from perdure import JobHandle, Perdure
from perdure_workers.worker.execute import Executor
from support.ledgers import claimed
from support.waiting import wait_until


def run_once(app: Perdure, job: JobHandle[Any]) -> str:
    """Run one attempt of a job that may run now and return the state that it has then."""
    executor = Executor(app, lambda: False, lambda _task: None)
    claim = claimed(app.ledger, job.id, worker="inline")
    attempt = executor(claim, lambda _claim, _limit: None)
    if not attempt.is_settled:
        app.ledger.jobs.settle(claim, attempt.settlement)
    executor.close()
    return str(job.state)


def run(app: Perdure, job: JobHandle[Any]) -> str:
    """Run a job until it has ended and return its last state."""
    while not job.state.is_final:
        wait_until(lambda: job.state == "queued", 60)
        run_once(app, job)
    return str(job.record.state)
