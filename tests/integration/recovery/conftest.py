"""An application on a real ledger and a real Redis, in this process; workers are rows that the tests write."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from perdure import JobContext, Perdure
from perdure.model.ids import new_id
from perdure.model.records import Claim
from support.ledgers import claimed


@pytest.fixture
def app(migrated_url: str, redis_url: str, tmp_path: Path) -> Iterator[Perdure]:
    made = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home", heartbeat_interval=0.2)

    @made.job(name="work")
    def work(ctx: JobContext) -> int:
        return ctx.attempt

    yield made
    made.close()


@pytest.fixture
def register(app: Perdure) -> Callable[..., str]:
    """A function that writes a worker's row and returns the incarnation's id."""

    def write(name: str = "w", **values: object) -> str:
        worker_id = new_id()
        row = {"id": worker_id, "name": name, "bulkhead": "normal", "host": socket.gethostname(), "pid": os.getpid()}
        app.ledger.workers.register({**row, "concurrency": 1, "lease_ttl": 1.0, "lock_path": None, **values})
        return worker_id

    return write


@pytest.fixture
def claim(app: Perdure) -> Callable[..., Claim]:
    """A function that submits a job and claims it for a worker's child."""

    def make(worker_id: str, pid: int = 4711, task: str = "work", **options: Any) -> Claim:
        job = app.task(task).options(**options).submit()
        return claimed(app.ledger, job.id, worker=worker_id, pid=pid)

    return make


@pytest.fixture
def statements(app: Perdure) -> Iterator[list[str]]:
    """The statements that this process sends to databases, as they come."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)
