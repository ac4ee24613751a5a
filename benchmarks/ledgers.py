"""All that the benchmarks know of the ledger's inside: filling it, and the steps of a job without a worker around them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

from sqlalchemy import text

from perdure import Perdure
from perdure.ledger import Ledger
from perdure.ledger.indexes import indexes_of
from perdure.ledger.jobs.claim import Claimer
from perdure.ledger.partitions.tables import make, name_of
from perdure.ledger.schema import attempts, jobs
from perdure.model.ids import new_id
from perdure.model.lanes import PLAIN
from perdure.model.new_job import NewJob
from perdure.model.records import Claim, Settlement
from perdure.model.states import JobState, Outcome, Transition
from perdure_workers.supervisor.duties import rotate
from perdure_workers.supervisor.maintenance import JOBS_PAGE, prune
from perdure_workers.worker.choice import Choice

#: Jobs that pruning deletes at once, by the kind of database.
PRUNED_AT_ONCE = JOBS_PAGE
SUCCEED = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="null")
#: Jobs that one statement writes.
CHUNK = 500_000
DAY = 86_400.0
#: Finished jobs older than this are pruned; their age says which are.
OLD_DAYS, YOUNG_DAYS = 30, 1

#: Ids as of UUIDv7: they begin with the milliseconds at which a job was made.
_MILLISECONDS = "CAST(made * 1000 AS BIGINT)"
_IDS = {
    "sqlite": f"substr(printf('%012x', {_MILLISECONDS}), 1, 8) || '-' || substr(printf('%012x', {_MILLISECONDS}), 9) "
    "|| printf('-7000-8000-%012x', i)",
    "postgresql": f"substr(lpad(to_hex({_MILLISECONDS}), 12, '0'), 1, 8) || '-' || "
    f"substr(lpad(to_hex({_MILLISECONDS}), 12, '0'), 9) || '-7000-8000-' || lpad(to_hex(i), 12, '0')",
}
_NUMBERS = {
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) SELECT i FROM n)",
    "postgresql": "(SELECT generate_series(CAST(:first AS int), CAST(:last AS int)) AS i)",
}
_FINISHED = """
INSERT INTO {jobs} (id, task, bulkhead, state, lane, priority, args, kwargs, payload_digest, created_at, queued_at,
                          first_started_at, started_at, finished_at, fence, attempt, worker_name, result)
SELECT {id}, CASE WHEN i % 3 = 0 THEN 'bench.other' ELSE 'bench.append' END,
       CASE WHEN i % 5 = 0 THEN 'critical' ELSE 'normal' END, 'succeeded', '-', 5, '[]', '{{}}', 'd',
       made, made, made, made, made + 1, 1, 1, 'w', 'null'
FROM (SELECT i, CASE WHEN i <= :old THEN :long_ago ELSE :lately END + i * 0.001 AS made FROM {numbers} AS n) AS m
"""
_ATTEMPTS = """
INSERT INTO {attempts} (job_id, number, outcome, worker, started_at, finished_at)
SELECT id, 1, 'succeeded', 'w', started_at, finished_at FROM {jobs}
"""


def fill(ledger: Ledger, count: int, old: int = 0) -> None:
    """Have a ledger remember finished jobs, each with its attempt; what statistics the database goes by are gathered.

    Args:
        ledger: an empty one.
        count: jobs.
        old: so many of them are due to be pruned.
    """
    began, dialect, engine = time.monotonic(), ledger.database.dialect, ledger.database.engine
    indexes = [index for table in (jobs, attempts) for index in indexes_of(table)]
    statement = text(_FINISHED.format(jobs=jobs.name, id=_IDS[dialect], numbers=_NUMBERS[dialect]))
    ages = {"old": old, "long_ago": time.time() - OLD_DAYS * DAY, "lately": time.time() - YOUNG_DAYS * DAY}
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    for first in range(1, count + 1, CHUNK):
        with engine.begin() as connection:
            connection.execute(statement, {"first": first, "last": min(first + CHUNK - 1, count), **ages})
    with engine.begin() as connection:
        connection.execute(text(_ATTEMPTS.format(jobs=jobs.name, attempts=attempts.name)))
    for index in indexes:
        with engine.begin() as connection:
            index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if dialect == "sqlite" else "VACUUM (ANALYZE)"))
    print(f"{dialect}: {count:,} jobs written in {time.monotonic() - began:.0f} s", file=sys.stderr)


def fill_partitions(ledger: Ledger, count: int, parts: int, old: int) -> None:
    """Have a ledger on PostgreSQL remember finished jobs in partitions of a day.

    Args:
        ledger: one that has none.
        count: jobs, with their attempts, in each partition.
        parts: partitions.
        old: so many of them are due to be dropped.
    """
    began, engine = time.monotonic(), ledger.database.engine
    today = time.time() // DAY * DAY
    for part in range(parts):
        until = today - (part + (OLD_DAYS if part >= parts - old else 0)) * DAY
        into = {"jobs": name_of("perdure_jobs", until), "attempts": name_of("perdure_attempts", until)}
        statement = text(_FINISHED.format(**into, id=_IDS["postgresql"], numbers=_NUMBERS["postgresql"]))
        when = {"old": 0, "long_ago": 0.0, "lately": until - DAY - part * count * 0.001}
        with engine.begin() as connection:
            make(connection, until)
            connection.execute(statement, {"first": part * count + 1, "last": (part + 1) * count, **when})
            connection.execute(text(_ATTEMPTS.format(**into)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    print(f"{parts} x {count:,} jobs written in {time.monotonic() - began:.0f} s", file=sys.stderr)


def new_job() -> NewJob:
    """Return a job to submit."""
    return NewJob(id=new_id(), task="bench.step", bulkhead="normal", args="[]", kwargs="{}", payload_digest="d")


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    """Yield a ledger with its tables."""
    ledger = Ledger(url)
    ledger.upgrade()
    try:
        yield ledger
    finally:
        ledger.close()


class Child:
    """Claims and settles as a worker's child does.

    Args:
        app: the application; its ledger is used.
        name: the child's, and its worker's.
        bulkhead: what it serves.
    """

    def __init__(self, app: Perdure, name: str, bulkhead: str) -> None:
        self._ledger = app.ledger
        self._by = Claimer(bulkhead, name, name, 1, tuple(app.tasks))
        self._choice = Choice(app, self._by)

    def claim(self) -> list[Claim]:
        """Claim a job that nothing holds back, by one statement."""
        return self._ledger.jobs.claim(self._by, 1)

    def choose(self) -> list[Claim]:
        """Choose a job, and some of those that limits and breakers let through."""
        return self._choice.claim(1)

    def settle(self, claims: list[Claim]) -> None:
        """Record that jobs succeeded."""
        self._ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])


def steps(ledger: Ledger, new: Callable[[], NewJob]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps of one job after the other, to be timed: each is called before the next is asked for."""
    by = Claimer("normal", "bench", "bench", 1, (new().task,))
    claims: list[Claim] = []
    job = new()
    yield "submit", lambda: ledger.jobs.submit([job])
    yield "claim", lambda: claims.extend(ledger.jobs.claim(by, 1, PLAIN))
    yield "settle", lambda: ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims])
    yield "look for lanes", lambda: ledger.jobs.lanes("normal")
    yield "list a page", lambda: ledger.jobs.listing(limit=50)
    yield "list a page by state", lambda: ledger.jobs.listing(state=JobState.SUCCEEDED, limit=50)
    yield "list a page by task", lambda: ledger.jobs.listing(task="bench.other", limit=50)


def prune_all(ledger_url: str, broker_url: str, home: str, pages: Synchronized[int]) -> None:
    """Prune what is old, as the periodic job does; for a process of its own, which counts the pages.

    Args:
        ledger_url, broker_url, home: where.
        pages: grows by one with each page.
    """

    def count() -> None:
        pages.value += 1

    prune(Perdure(ledger_url=ledger_url, broker_url=broker_url, home=home), between=count)


def archive_all(ledger_url: str, _broker_url: str, _home: str, pages: Synchronized[int]) -> None:
    """Archive what succeeded, at the pace of the duty; see :func:`prune_all`."""
    after = ""
    with opened(ledger_url) as ledger:
        began = time.monotonic()
        while page := ledger.partitions.archive(DAY, rotate.REST, after, rotate.PAGE):
            after, pages.value = page[-1], pages.value + 1
            rest = min(rotate.LONGEST_REST, rotate.CALM * (time.monotonic() - began))
            time.sleep(max(rotate.NEXT_PAGE, rest))
            began = time.monotonic()
