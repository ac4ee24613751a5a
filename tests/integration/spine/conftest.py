"""An application on a real ledger and a real Redis, and children of workers that choose from it, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from perdure import Perdure
from perdure.ledger.jobs.claim import Claimer
from perdure.model.ids import new_id
from perdure_workers.worker.choice import Choice

pids = itertools.count(100_000)


@pytest.fixture
def task(app: Perdure) -> Callable[..., Any]:
    """Makes a task that returns its argument."""

    def make(name: str, **options: Any) -> Any:
        def work(n: int = 0, key: str = "") -> int:
            return n

        return app.job(name=name, **options)(work)

    return make


@pytest.fixture
def choice(app: Perdure) -> Callable[..., Choice]:
    """Makes a child that knows the application's tasks, or those that are named."""

    def make(bulkhead: str = "normal", worker: str = "w-1", tasks: tuple[str, ...] | None = None) -> Choice:
        worker_id = f"{worker}-{new_id()}"[:36]
        return Choice(
            app, Claimer(bulkhead, worker_id, worker, next(pids), tasks if tasks is not None else tuple(app.tasks))
        )

    return make
