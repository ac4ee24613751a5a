"""What the platform reports when all is over, read past the network that was broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from perdure import JobHandle, Perdure
from perdure.ledger.jobs.read import outcomes_by_fence
from perdure_workers.chaos.history import Reported
from perdure_workers.chaos.jobs import paid

_PAGE = 500


def reports(app: Perdure) -> list[Reported]:
    """Return what the platform says of each job of the workload; replays count as the work of people."""
    outcomes = app.ledger.read(outcomes_by_fence)
    mine = (job.record for job in _jobs(app) if job.task.startswith("chaos."))
    return [
        Reported(
            key=str(record.args[0]) if record.args else "",
            job=record.id,
            task=record.task,
            state=str(record.state),
            crashes=record.crashes,
            outcomes=outcomes.get(record.id, {}),
        )
        for record in mine
        if record.replay_of is None
    ]


def count_rows(engine: sa.Engine) -> dict[tuple[str, int], int]:
    """Return how often each row stands in the table that jobs write in transactions, and close the engine."""
    query = sa.select(paid.c.job_key, paid.c.number, sa.func.count()).group_by(paid.c.job_key, paid.c.number)
    with engine.connect() as connection:
        rows = {(key, number): count for key, number, count in connection.execute(query)}
    engine.dispose()
    return rows


def _jobs(app: Perdure) -> Iterator[JobHandle[Any]]:
    after = None
    while page := app.jobs.list(limit=_PAGE, after=after):
        yield from page
        after = page[-1].id
