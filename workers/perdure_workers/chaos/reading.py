"""What the platform reports when all is over, read past the network that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import redis
import sqlalchemy as sa

from perdure.errors import JobNotFound
from perdure.ledger.jobs.read import outcomes_by_fence
from perdure.model.records import JobRecord
from perdure_workers.chaos import evidence
from perdure_workers.chaos.history import Effect, Reported
from perdure_workers.chaos.jobs import paid
from perdure_workers.chaos.platforms import Platform
from perdure_workers.chaos.workload import CALLS

_PAGE = 500


def counts(platform: Platform) -> Counter[str]:
    """Return how many jobs of the workload are in each state."""
    if platform.since is None:
        return Counter(platform.app.jobs.count())
    found = Counter[str]()
    for task in CALLS:
        found.update(platform.app.jobs.count(task=task, since=platform.since))
    return found


def effects(platform: Platform) -> list[Effect]:
    """Return what the workload's jobs did; on a platform that ran before, older ones may run meanwhile."""
    found = evidence.effects(platform.folder)
    older = {job for job in {effect.job for effect in found} if _is_older(platform, job)}
    return [effect for effect in found if effect.job not in older]


def reports(platform: Platform) -> list[Reported]:
    """Return what the platform says of each job of the workload; replays count as the work of people."""
    mine = [record for task in CALLS for record in _records(platform, task) if record.replay_of is None]
    outcomes: dict[str, dict[int, str]] = {}
    for start in range(0, len(mine), _PAGE):
        ids = [record.id for record in mine[start : start + _PAGE]]
        outcomes |= platform.app.ledger.direct(partial(outcomes_by_fence, job_ids=ids))
    return [
        Reported(
            key=str(record.args[0]),
            job=record.id,
            task=record.task,
            state=str(record.state),
            crashes=record.crashes,
            outcomes=outcomes.get(record.id, {}),
        )
        for record in mine
        if record.args and str(record.args[0]).startswith(platform.prefix)
    ]


def servers(platform: Platform) -> dict[str, str]:
    """Return the releases of the servers, by their name."""
    engine = platform.engine()
    with engine.connect() as connection, redis.Redis.from_url(platform.redis_url) as client:
        release = ".".join(map(str, connection.dialect.server_version_info or ()))
        found = {engine.dialect.name: release, "redis-server": str(client.info("server")["redis_version"])}
    engine.dispose()
    return found


def rows(platform: Platform) -> dict[tuple[str, int], int]:
    """Return how often each row of the run stands in the table that jobs write in transactions."""
    query = sa.select(paid.c.job_key, paid.c.number, sa.func.count()).group_by(paid.c.job_key, paid.c.number)
    engine = platform.engine()
    with engine.connect() as connection:
        found = connection.execute(query.where(paid.c.job_key.startswith(platform.prefix, autoescape=True))).all()
    engine.dispose()
    return {(key, number): count for key, number, count in found}


def _is_older(platform: Platform, job_id: str) -> bool:
    if platform.since is None:
        return False
    try:
        created = platform.app.jobs.get(job_id).record.created_at
    except JobNotFound:
        return False  # what ran and is in no ledger is evidence
    return created is not None and created.timestamp() < platform.since


def _records(platform: Platform, task: str) -> Iterator[JobRecord]:
    after = None
    while page := platform.app.jobs.list(limit=_PAGE, after=after, task=task, since=platform.since):
        yield from (job.record for job in page)
        after = page[-1].id
