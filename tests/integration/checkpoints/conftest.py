"""Contexts of attempts of a job, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure import JobContext, Perdure
from support.ledgers import LOSE, claimed, running

Attempts = Callable[..., JobContext]


@pytest.fixture
def attempt(app: Perdure) -> Attempts:
    """A function that gives the context of a job's first attempt, or of the next one after a lost worker."""

    def make(before: JobContext | None = None, **options: Any) -> JobContext:
        if before is None:
            claim = running(app.ledger)
        else:
            app.ledger.jobs.settle(before.claim, LOSE)
            claim = claimed(app.ledger, before.job_id, worker="w-2")
        return JobContext(claim, app.ledger, storage=app.storage, **options)

    return make
