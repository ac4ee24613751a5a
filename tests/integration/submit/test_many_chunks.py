"""Submitting more jobs than one chunk: the next one is prepared while the last one is written, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from perdure import IdempotencyConflict, InvalidArguments, LedgerUnavailable, Perdure, Task
from perdure.broker.queues import MOST
from perdure.model.events import JobEvent
from perdure.model.new_job import NewJob
from perdure.submit.submitter import CHUNK
from support.submits import bells

DEADLINE = 60.0

Writing = Callable[[int, Sequence[NewJob]], object]


@pytest.fixture
def while_written(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> Callable[[Writing], None]:
    """Have something called with each chunk's number and jobs before it is written."""

    def use(writing: Writing) -> None:
        write, numbers = app.ledger.jobs.submit, iter(range(1_000_000))

        def submit(new: Sequence[NewJob], *more: Any) -> Any:
            writing(next(numbers), new)
            return write(new, *more)

        monkeypatch.setattr(app.ledger.jobs, "submit", submit)

    return use


def keyed(add: Task[..., int], keys: range, more: int = 0) -> list[Any]:
    return [add.options(idempotency_key=f"k-{key}").call(key, more) for key in keys]


def test_calls_are_drawn_while_the_chunk_before_is_written(
    add: Task[..., int], while_written: Callable[[Writing], None]
) -> None:
    drawn_on, waited = threading.Event(), []
    while_written(lambda number, _: waited.append(drawn_on.wait(DEADLINE)) if number == 0 else None)

    def calls() -> Iterator[tuple[int]]:
        for number in range(2 * CHUNK):
            if number > CHUNK:
                drawn_on.set()
            yield (number,)

    handles = add.submit_many(calls())
    assert waited == [True]
    assert [handles[number].record.args for number in (0, CHUNK, 2 * CHUNK - 1)] == [[0], [CHUNK], [2 * CHUNK - 1]]


def test_a_chunk_that_fails_is_the_last_one(
    app: Perdure, add: Task[..., int], while_written: Callable[[Writing], None]
) -> None:
    def fail(number: int, _new: Sequence[NewJob]) -> None:
        if number == 1:
            raise LedgerUnavailable("gone")

    while_written(fail)
    drawn: list[int] = []
    with pytest.raises(LedgerUnavailable, match="gone") as caught:
        add.submit_many((drawn.append(number) or number,) for number in range(5 * CHUNK))  # type: ignore[func-returns-value]
    assert caught.value.__notes__ == [f"{CHUNK} jobs were submitted before."]
    assert app.jobs.count() == {"queued": CHUNK}
    assert len(drawn) <= 3 * CHUNK


def test_a_call_that_is_wrong_leaves_what_came_before_it_written(
    app: Perdure, add: Task[..., int], while_written: Callable[[Writing], None]
) -> None:
    refused = threading.Event()
    while_written(lambda *_: refused.wait(DEADLINE))

    def calls() -> Iterator[tuple[Any, ...]]:
        yield from ((number,) for number in range(CHUNK + 10))
        threading.Timer(0.05, refused.set).start()  # the chunk is still being written when this call is refused
        yield 1, 2, 3

    with pytest.raises(InvalidArguments) as caught:
        add.submit_many(calls())
    assert caught.value.__notes__ == [f"{CHUNK} jobs were submitted before."]
    assert app.jobs.count() == {"queued": CHUNK}


def test_of_a_chunk_in_the_middle_all_is_written_or_nothing(app: Perdure, add: Task[..., int]) -> None:
    add.submit_many(keyed(add, range(1)))
    plain: list[Any] = [(number,) for number in range(CHUNK)]
    with pytest.raises(IdempotencyConflict, match="k-0") as caught:
        add.submit_many([*plain, *plain[1:], *keyed(add, range(1), more=1), *plain])
    assert caught.value.__notes__ == [f"{CHUNK} jobs were submitted before."]
    assert app.jobs.count() == {"queued": 1 + CHUNK}


def test_a_key_twice_in_different_chunks_makes_one_job(app: Perdure, add: Task[..., int]) -> None:
    handles = add.submit_many([*keyed(add, range(CHUNK)), *keyed(add, range(CHUNK)), *keyed(add, range(3))])
    assert [handle.id for handle in handles] == [handle.id for handle in handles[:CHUNK] * 2 + handles[:3]]
    assert [handle.deduplicated for handle in handles] == [False] * CHUNK + [True] * (CHUNK + 3)
    assert app.jobs.count() == {"queued": CHUNK}


def test_each_chunk_rings_and_is_told_of_once_it_is_committed(app: Perdure, add: Task[..., int]) -> None:
    told: list[str] = []
    seen: list[dict[str, int]] = []

    def tell(event: JobEvent) -> None:
        if len(told) % CHUNK == 0:
            seen.append(app.jobs.count())
        told.append(event.job_id)

    app.events.subscribe(tell)
    handles = add.submit_many((number,) for number in range(CHUNK + 5))
    assert told == [handle.id for handle in handles]
    assert seen == [{"queued": CHUNK}, {"queued": CHUNK + 5}]
    assert bells(app) == {"normal": MOST}


def test_chunks_in_the_callers_transaction_are_all_or_nothing_and_written_by_its_thread(
    app: Perdure, add: Task[..., int], session: Session, while_written: Callable[[Writing], None]
) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    threads: list[threading.Thread] = []
    while_written(lambda *_: threads.append(threading.current_thread()))
    within = add.options(session=session)
    within.submit_many((number,) for number in range(2 * CHUNK + 1))
    assert threads == [threading.current_thread()] * 3
    session.rollback()
    assert (app.jobs.count(), events) == ({}, [])
    within.submit_many((number,) for number in range(2 * CHUNK))
    assert app.jobs.count() == {}
    session.commit()
    assert app.jobs.count() == {"queued": 2 * CHUNK} == {"queued": len(events)}


def test_connections_that_are_lost_in_the_middle_lose_and_double_no_job(app: Perdure, add: Task[..., int]) -> None:
    if app.ledger.database.dialect != "postgresql":
        pytest.skip("SQLite is in this process")
    add.submit(0)
    other = Perdure(ledger_url=app.settings.effective_ledger_url, broker_url=app.settings.broker_url)
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def calls() -> Iterator[tuple[int]]:
        for number in range(1, 4 * CHUNK):
            if number % (2 * CHUNK) == CHUNK + CHUNK // 2:  # between two of them a chunk begins on a connection that lives
                other.ledger.read(lambda connection: connection.execute(kill))
            yield (number,)

    handles = add.submit_many(calls())
    other.close()
    assert len({handle.id for handle in handles}) == 4 * CHUNK - 1
    assert app.jobs.count() == {"queued": 4 * CHUNK}
