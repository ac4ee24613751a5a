"""Jobs and claims for tests of the ledger."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, select, text

from perdure.ledger import Ledger
from perdure.ledger.driver import DriverConnection
from perdure.ledger.jobs.claim import Claimer
from perdure.ledger.schema import jobs, metadata
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob
from perdure.model.records import RELEASED, Claim, Death, Settlement
from perdure.model.states import DeadReason, Outcome, Transition

T = TypeVar("T")

SUCCEED = Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result="7")
RETRY = Settlement(Transition.RETRY, Outcome.FAILED, delay=60.0, error_type="ValueError", error="no", traceback="...")
LOSE = Settlement(Transition.LOSE, Outcome.CRASHED, error_type="WorkerLost", error="killed")
DIE = Settlement(
    Transition.DIE,
    Outcome.FAILED,
    error_type="ValueError",
    error="no",
    traceback="Traceback ...",
    death=Death(DeadReason.EXHAUSTED, "f" * 16),
)


@contextmanager
def with_partitions(url: str) -> Iterator[Ledger]:
    """Give an empty ledger on PostgreSQL, and leave it empty and without partitions."""
    ledger = Ledger(url)
    ledger.upgrade()
    yield ledger
    for one in ledger.partitions.existing():
        ledger.partitions.drop(one.until)
    ledger.transact(lambda c: c.execute(text(f"TRUNCATE {', '.join(sorted(metadata.tables))}")))
    ledger.close()


def run_directly(ledger: Ledger, statement: str, *, hot: bool = True) -> list[Any]:
    """Run a statement on the connection that the ledger's next direct one is run on, and return its rows, if it has any."""

    def work(connection: DriverConnection) -> list[Any]:
        cursor = connection.execute(statement, {})
        return cursor.fetchall() if cursor.description else []

    return ledger.database.run(work, autocommit=True, direct=True, hot=hot)


def delete_all_rows(connection: Connection) -> None:
    """Leave a ledger as it was made."""
    for table in metadata.tables.values():
        connection.execute(table.delete())


def job(*args: Any, **changes: Any) -> NewJob:
    """A job as submit would write it; `changes` are fields of NewJob."""
    import msgspec

    text = msgspec.json.encode(list(args)).decode()
    plain = NewJob(
        id=new_id(),
        task="tests.add",
        bulkhead="normal",
        args=text,
        kwargs="{}",
        payload_digest=hashlib.sha256(text.encode()).hexdigest(),
        idempotency_ttl=3600.0,
    )
    return replace(plain, **changes)


def submitted(ledger: Ledger, *args: Any, **changes: Any) -> str:
    """Submit one job and return its id."""
    [result] = ledger.jobs.submit([job(*args, **changes)])
    return result.id


def claimer(ledger: Ledger, *, bulkhead: str = "normal", worker: str = "w-1", pid: int | None = None) -> Claimer:
    """A worker's child that knows all tasks in the ledger."""
    tasks = tuple(ledger.jobs.count("task"))
    return Claimer(bulkhead, worker, worker, pid or os.getpid(), tasks)


def try_claim(ledger: Ledger, job_id: str, *, worker: str = "w-1", pid: int | None = None) -> Claim | None:
    """Claim one job, whatever is in line before it; None when it cannot be claimed. Others go back as they were."""
    with ledger.transaction() as connection:
        row = connection.execute(select(jobs.c.lane, jobs.c.bulkhead).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        return None
    claims = ledger.jobs.claim(claimer(ledger, bulkhead=row.bulkhead, worker=worker, pid=pid), 10_000, row.lane)
    if others := [(claim, RELEASED) for claim in claims if claim.job_id != job_id]:
        ledger.jobs.settle_all(others)
    return next((claim for claim in claims if claim.job_id == job_id), None)


def claimed(ledger: Ledger, job_id: str, *, worker: str = "w-1", pid: int | None = None) -> Claim:
    """Claim a job that may run now, whatever is in line before it."""
    claim = try_claim(ledger, job_id, worker=worker, pid=pid)
    assert claim is not None
    return claim


def running(ledger: Ledger, *args: Any, worker: str = "w-1", **changes: Any) -> Claim:
    """Submit a job and claim it."""
    return claimed(ledger, submitted(ledger, *args, **changes), worker=worker)


def dead(ledger: Ledger, *args: Any, settlement: Settlement = DIE, **changes: Any) -> tuple[Claim, str]:
    """Submit a job, claim it, let it die; return the claim and the dead letter's id."""
    claim = running(ledger, *args, **changes)
    letter = ledger.jobs.settle(claim, settlement)
    assert letter is not None
    return claim, letter


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions in threads that start together, and return what they return; an error in one is raised."""
    barrier = Barrier(len(works))

    def start(work: Callable[[], T]) -> T:
        barrier.wait(timeout=20)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(start, work) for work in works]]
