"""Submitting: what is refused, what is written, which tickets go out, and what handles say."""

from __future__ import annotations

import enum
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from perdure_workers.duties.dispatch import Dispatch
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from perdure import (
    BulkheadFull,
    IdempotencyConflict,
    InvalidArguments,
    JobCancelled,
    JobContext,
    JobDead,
    LedgerUnavailable,
    Perdure,
    RetryPolicy,
    Task,
    UnknownTask,
    Unserialisable,
)
from perdure.errors import DuplicateTask, InvalidJobDefinition, JobNotFinished, JobNotFound, UnknownBulkhead
from perdure.events import JobEvent
from perdure.home import free_port
from perdure.settings import BulkheadSettings
from perdure_workers.embedded.redis import RedisServer
from support.ledgers import DIE, RETRY, SUCCEED
from support.waiting import wait_until

SEPARATOR = "\x06\x16"


class Size(enum.Enum):
    SMALL = "small"


@dataclass
class Order:
    id: UUID
    at: datetime
    price: Decimal
    size: Size


@pytest.fixture
def add(app: Perdure) -> Task[..., int]:
    @app.job(name="tests.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


@pytest.fixture
def add_lite(sqlite_app: Perdure) -> Task[..., int]:
    @sqlite_app.job(name="tests.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


def tickets(app: Perdure) -> list[dict[str, Any]]:
    """The tickets in the broker: id, task, queue, priority and the body of each, in the order in which they are served."""
    found = []
    with redis.Redis.from_url(app.settings.effective_broker_url) as client:
        for bulkhead in app.settings.bulkheads:
            for priority in range(10):
                queue = f"perdure.{bulkhead}"
                for raw in reversed(client.lrange(f"{queue}{SEPARATOR}{priority}" if priority else queue, 0, -1)):
                    message = json.loads(raw)
                    found.append(
                        {
                            "id": message["headers"]["id"],
                            "task": message["headers"]["task"],
                            "queue": queue,
                            "priority": priority,
                            "headers": message["headers"],
                        }
                    )
    return found


def ticket_ids(app: Perdure) -> list[str]:
    return [ticket["id"] for ticket in tickets(app)]


def finish(app: Perdure, job_id: str, settlement: Any = SUCCEED) -> None:
    claim = app.ledger.claim(job_id, "w", "w", 1)
    assert claim is not None
    app.ledger.settle(claim, settlement)


# -- one job -----------------------------------------------------------------------------------------------------------


def test_a_submit_writes_the_job_and_sends_its_ticket(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1, b=2)
    assert (handle.state, handle.deduplicated, handle.ticketed) == ("queued", False, True)
    assert (handle.record.args, handle.record.kwargs) == ([1], {"b": 2})
    [ticket] = tickets(app)
    assert (ticket["id"], ticket["task"], ticket["queue"]) == (handle.id, "tests.add", "perdure.normal")
    assert ticket["priority"] == 5


def test_a_ticket_carries_no_arguments_but_shows_them(app: Perdure, add: Task[..., int]) -> None:
    add.submit(41, b=2)
    with redis.Redis.from_url(app.settings.effective_broker_url) as client:
        [raw] = client.lrange(f"perdure.normal{SEPARATOR}5", 0, -1)
    import base64

    args, kwargs, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    assert (args, kwargs) == ([], {})
    headers = json.loads(raw)["headers"]
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("[41]", '{"b":2}')


def test_celery_s_names_work(app: Perdure, add: Task[..., int]) -> None:
    now = add.delay(1, b=2)
    plain = add.apply_async((1,), {"b": 2}, priority=0, queue="perdure.critical")
    named = add.apply_async([1], queue="background", idempotency_key="k")
    later = add.apply_async((1,), countdown=60)
    at = add.apply_async((1,), eta=datetime.now(UTC) + timedelta(hours=1))
    assert [handle.state for handle in (now, plain, named, later, at)] == ["queued"] * 3 + ["scheduled"] * 2
    assert {ticket["id"]: (ticket["queue"], ticket["priority"]) for ticket in tickets(app)} == {
        now.id: ("perdure.normal", 5),
        plain.id: ("perdure.critical", 0),
        named.id: ("perdure.background", 5),
    }
    assert add.options(priority=3).delay(1).record.priority == 3


def test_options(app: Perdure, add: Task[..., int]) -> None:
    how = add.options(tags={"tenant": "a"}, priority=9, bulkhead="critical", timeout=7.5)
    handle = how.options(idempotency_key="k").submit(1)
    assert (handle.record.tags, handle.record.priority, handle.bulkhead) == ({"tenant": "a"}, 9, "critical")
    assert handle.record.idempotency_key == "k"
    assert how.submit(1).id != handle.id
    [first, _] = tickets(app)
    assert first["queue"] == "perdure.critical"


@pytest.mark.parametrize("when", [{"delay": 0.05}, {"run_at": "soon"}, {"run_at": "before"}, {"delay": 1e-9}])
def test_a_job_for_later_gets_its_ticket_when_it_is_due(app: Perdure, add: Task[..., int], when: dict[str, Any]) -> None:
    moments = {"soon": timedelta(milliseconds=50), "before": timedelta(days=-1)}
    if "run_at" in when:
        when = {"run_at": datetime.now(UTC) + moments[when["run_at"]]}
    handle = add.options(**when).submit(1)
    assert ticket_ids(app) == []
    duty = Dispatch(app)
    wait_until(lambda: duty.run_once() or ticket_ids(app))
    assert ticket_ids(app) == [handle.id]
    assert handle.state == "queued"


def test_a_naive_run_at_is_local_time(app: Perdure, add: Task[..., int]) -> None:
    moment = datetime.now() + timedelta(hours=1)
    record = add.options(run_at=moment).submit(1).record
    assert record.run_at is not None
    assert abs(record.run_at.timestamp() - moment.timestamp()) < 0.01


def test_values_come_to_the_worker_as_they_were(app: Perdure) -> None:
    @app.job
    def buy(order: Order, extra) -> Order:  # type: ignore[no-untyped-def]
        return order

    order = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), Size.SMALL)
    handle = buy.submit(order, {"when": timedelta(days=1), "ids": {UUID(int=1)}})
    claim = app.ledger.claim(handle.id, "w", "w", 1)
    assert claim is not None
    args, kwargs = buy.signature.decode(claim.args, claim.kwargs)
    assert (args, kwargs) == ([order, {"when": timedelta(days=1), "ids": {UUID(int=1)}}], {})


def test_events_tell_of_each_submit(app: Perdure, add: Task[..., int]) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    first = add.options(idempotency_key="k").submit(1)
    add.options(idempotency_key="k").submit(1)
    later = add.options(delay=60).submit(1)
    assert [(event.job_id, event.source, event.target) for event in events] == [
        (first.id, None, "queued"),
        (later.id, None, "scheduled"),
    ]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda add: add.submit(), InvalidArguments),
        (lambda add: add.submit(1, 2, 3), InvalidArguments),
        (lambda add: add.submit("1"), InvalidArguments),
        (lambda add: add.submit(a=1, c=2), InvalidArguments),
        (lambda add: add.submit(object()), Unserialisable),
        (lambda add: add.submit(float("nan")), Unserialisable),
        (lambda add: add.delay("1"), InvalidArguments),
        (lambda add: add.submit_many([(1,), ("2",)]), InvalidArguments),
        (lambda add: add.options(bulkhead="critcal").submit(1), UnknownBulkhead),
        (lambda add: add.apply_async((1,), queue="celery"), UnknownBulkhead),
        (lambda add: add.apply_async((1,), link=1), InvalidArguments),
        (lambda add: add.options(idempotency_key="k").submit_many([(1,)]), InvalidArguments),
        (lambda add: add.options(session="session").submit(1), InvalidArguments),
    ],
)
def test_a_bad_call_writes_nothing_and_sends_nothing(
    app: Perdure, add: Task[..., int], call: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(add)
    assert app.jobs.count() == {}
    assert tickets(app) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": 10},
        {"priority": -1},
        {"priority": "high"},
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"delay": "5"},
        {"delay": 1, "run_at": datetime.now(UTC)},
        {"run_at": 5.0},
        {"run_at": "tomorrow"},
        {"deadline": "tomorrow"},
        {"timeout": 0},
        {"timeout": "5"},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 256},
        {"idempotency_key": 7},
        {"idempotency_key": "a\x00b"},
        {"idempotency_key": "\ud800"},
        {"idempotency_ttl": 0},
        {"idempotency_ttl": -1},
        {"tags": {"tenant": 7}},
        {"tags": {"t" * 65: "a"}},
        {"tags": {"tenant": "a" * 256}},
        {"tags": {"tenant": "\x00"}},
        {"tags": ["tenant"]},
        {"tags": "tenant=a"},
        {"delya": 1},
    ],
    ids=lambda wrong: "-".join(wrong) + f"={next(iter(wrong.values()))!r:.20}",
)
def test_a_wrong_option_names_itself(add_lite: Task[..., int], wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments, match=next(iter(wrong))):
        add_lite.options(**wrong)


def test_an_unknown_task_is_named_with_the_closest(app: Perdure, add: Task[..., int]) -> None:
    with pytest.raises(UnknownTask, match=r"'tests.ad' is not registered. Did you mean 'tests.add'\?"):
        app.task("tests.ad")


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_makes_one_job_and_one_ticket(app: Perdure, add: Task[..., int]) -> None:
    first = add.options(idempotency_key="k").submit(1, 2)
    again = add.options(idempotency_key="k").submit(b=2, a=1)
    assert (again.id, again.deduplicated, first.deduplicated) == (first.id, True, False)
    assert ticket_ids(app) == [first.id]
    with pytest.raises(IdempotencyConflict):
        add.options(idempotency_key="k").submit(1, 3)
    finish(app, first.id)
    assert add.options(idempotency_key="k").submit(1, 2).wait(1) == 7


# -- many --------------------------------------------------------------------------------------------------------------


def test_many_jobs_from_a_generator(app: Perdure, add: Task[..., int]) -> None:
    drawn: list[int] = []

    def calls() -> Iterator[tuple[int, int]]:
        for number in range(2_500):
            drawn.append(number)
            yield number, 1

    handles = add.submit_many(calls())
    assert len(drawn) == len(handles) == 2_500
    assert app.jobs.count() == {"queued": 2_500}
    assert sorted(ticket_ids(app)) == sorted(handle.id for handle in handles)
    assert handles[1_700].record.args == [1_700, 1]
    assert all(handle.ticketed for handle in handles)


def test_calls_can_be_tuples_dicts_or_single_arguments(app: Perdure, add: Task[..., int]) -> None:
    handles = add.options(tags={"run": "1"}).submit_many([(1, 2), [3], {"a": 4, "b": 5}, 6])
    assert [(handle.record.args, handle.record.kwargs) for handle in handles] == [
        ([1, 2], {}),
        ([3], {}),
        ([], {"a": 4, "b": 5}),
        ([6], {}),
    ]
    assert len(app.jobs.list(tag="run=1")) == 4
    assert add.submit_many([]) == []


def test_many_for_later_send_no_tickets(app: Perdure, add: Task[..., int]) -> None:
    add.options(delay=60).submit_many([(1,), (2,)])
    assert tickets(app) == []
    assert app.jobs.count() == {"scheduled": 2}


# -- the caller's transaction ------------------------------------------------------------------------------------------


@pytest.fixture
def session(app: Perdure) -> Iterator[Session]:
    engine = create_engine(app.settings.effective_ledger_url)
    if engine.dialect.name == "sqlite":
        # As SQLAlchemy's documentation says: else Python's driver begins no transaction before a savepoint.
        event.listen(engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_a_job_is_committed_with_the_session_and_then_gets_its_ticket(
    app: Perdure, add: Task[..., int], session: Session
) -> None:
    handle = add.options(session=session).submit(1)
    assert not handle.ticketed
    assert tickets(app) == []
    with pytest.raises(JobNotFound):
        app.jobs.get(handle.id)
    session.commit()
    assert handle.state == "queued"
    assert ticket_ids(app) == [handle.id]


def test_a_rollback_takes_the_job_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    add.options(session=session).submit(1)
    session.rollback()
    session.execute(text("SELECT 1"))
    session.commit()
    assert app.jobs.count() == {}
    assert tickets(app) == []
    assert events == []


def test_closing_the_session_takes_the_job_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    add.options(session=session).submit(1)
    session.close()
    session.execute(text("SELECT 1"))
    session.commit()
    assert app.jobs.count() == {}
    assert tickets(app) == []


def test_several_jobs_in_one_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    transactional = add.options(session=session)
    handles = [transactional.submit(1), transactional.submit(2), *transactional.submit_many([(3,), (4,)])]
    session.commit()
    assert sorted(ticket_ids(app)) == sorted(handle.id for handle in handles)
    assert [event.job_id for event in events] == [handle.id for handle in handles]


def test_a_session_can_be_used_again_and_sends_each_ticket_once(
    app: Perdure, add: Task[..., int], session: Session
) -> None:
    handles = []
    for number in range(5):
        handles.append(add.options(session=session).submit(number))
        session.commit()
        session.execute(text("SELECT 1"))
        session.commit()
    assert Counter(ticket_ids(app)) == Counter(handle.id for handle in handles)


def test_listeners_do_not_pile_up(app: Perdure, add: Task[..., int], session: Session) -> None:
    def listeners() -> int:
        dispatch = session.dispatch
        names = ("after_commit", "after_rollback", "after_soft_rollback", "after_transaction_end")
        return sum(len(list(getattr(dispatch, name))) for name in names)

    add.options(session=session).submit(0)
    session.commit()
    once = listeners()
    for number in range(5):
        add.options(session=session).submit(number)
        session.commit() if number % 2 else session.rollback()
    assert listeners() == once


def test_savepoints(app: Perdure, add: Task[..., int], session: Session) -> None:
    transactional = add.options(session=session)
    before = transactional.submit(1)
    with session.begin_nested():
        kept = transactional.submit(2)
    assert tickets(app) == []
    with session.begin_nested() as savepoint:
        transactional.submit(3)
        with session.begin_nested():
            transactional.submit(4)
        savepoint.rollback()
    after = transactional.submit(5)
    assert tickets(app) == []
    session.commit()
    assert sorted(ticket_ids(app)) == sorted([before.id, kept.id, after.id])
    assert app.jobs.count() == {"queued": 3}


def test_a_rollback_after_a_savepoint_takes_everything_back(app: Perdure, add: Task[..., int], session: Session) -> None:
    with session.begin_nested():
        add.options(session=session).submit(1)
    session.rollback()
    assert tickets(app) == []
    assert app.jobs.count() == {}


def test_keys_in_a_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    first = add.options(idempotency_key="k", session=session).submit(1)
    again = add.options(idempotency_key="k", session=session).submit(1)
    with pytest.raises(IdempotencyConflict):
        add.options(idempotency_key="k", session=session).submit(2)
    session.commit()
    assert (again.id, again.deduplicated) == (first.id, True)
    assert ticket_ids(app) == [first.id]


def test_jobs_for_later_in_a_session(app: Perdure, add: Task[..., int], session: Session) -> None:
    handle = add.options(delay=60, session=session).submit(1)
    session.commit()
    assert (handle.state, tickets(app)) == ("scheduled", [])


def test_a_scoped_session(app: Perdure, add: Task[..., int]) -> None:
    engine = create_engine(app.settings.effective_ledger_url)
    factory = sessionmaker(engine)
    scoped = scoped_session(factory)
    handle = add.options(session=scoped).submit(1)
    with factory() as other:
        other.execute(text("SELECT 1"))
        other.commit()
    assert tickets(app) == []
    scoped.commit()
    assert ticket_ids(app) == [handle.id]
    scoped.remove()
    engine.dispose()


def test_the_broker_may_be_down_when_the_session_commits(app: Perdure, add: Task[..., int], session: Session) -> None:
    app.celery.conf.broker_url = f"redis://127.0.0.1:{free_port()}/0"
    handle = add.options(session=session).submit(1)
    session.commit()
    assert [ticket.id for ticket in app.ledger.take_unticketed(10)] == [handle.id]


# -- outages -----------------------------------------------------------------------------------------------------------


def test_submits_are_accepted_while_the_broker_is_down_and_ticketed_when_it_is_back(
    migrated_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, clean_environment: None
) -> None:
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        app = Perdure(ledger_url=migrated_url, broker_url=server.url, home=tmp_path)

        @app.job(name="tests.add")
        def add(a: int) -> int:
            return a

        assert add.submit(0).ticketed
        server.stop()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "perdure"):
            started = time.monotonic()
            handles = [add.submit(1), add.submit(2), *add.submit_many([(3,), (4,)])]
            took = time.monotonic() - started
        assert [handle.ticketed for handle in handles] == [False] * 4
        assert [handle.state for handle in handles] == ["queued"] * 4
        assert took < 10  # a connection that is refused costs nothing; one that hung would cost its timeout each time
        warnings = [record for record in caplog.records if record.name == "perdure.tickets"]
        assert len(warnings) == 1 or took > 1
        assert "the broker is not reached" in warnings[0].getMessage()
        server.start()
        duty = Dispatch(app)
        wanted = {handle.id for handle in handles}
        wait_until(lambda: duty.run_once() or wanted <= set(ticket_ids(app)), timeout=20)
        assert Counter(ticket_ids(app))[handles[0].id] == 1
        assert add.submit(5).ticketed
        app.close()


def test_without_a_ledger_nothing_is_sent(redis_url: str, tmp_path: Path, clean_environment: None) -> None:
    url = f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/shop"
    app = Perdure(ledger_url=url, broker_url=redis_url, home=tmp_path)

    @app.job
    def add(a: int) -> int:
        return a

    for submit in (lambda: add.submit(1), lambda: add.submit_many([(1,), (2,)]), lambda: app.jobs.get("x")):
        with pytest.raises(LedgerUnavailable, match="ledger postgresql"):
            submit()
    assert tickets(app) == []
    app.close()


# -- bounds ------------------------------------------------------------------------------------------------------------


def bounded(app: Perdure, **bounds: Any) -> None:
    app.settings.bulkheads["normal"] = BulkheadSettings(**bounds)


def test_a_full_bulkhead_refuses(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=2)
    first = add.submit(1)
    add.submit(2)
    with pytest.raises(BulkheadFull, match="bulkhead 'normal' has 2 waiting jobs, its max_depth is 2"):
        add.submit(3)
    assert add.options(bulkhead="critical").submit(3).state == "queued"
    assert app.ledger.claim(first.id, "w", "w", 1)
    assert add.submit(3).state == "queued"
    assert app.jobs.count("bulkhead") == {"normal": 3, "critical": 1}


def test_many_do_not_overfill_a_bulkhead(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=5)
    with pytest.raises(BulkheadFull, match="5 jobs were submitted before"):
        add.submit_many((n,) for n in range(12))
    assert app.jobs.count() == {"queued": 5}


def test_a_submit_can_wait_for_room(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=1, overflow="wait", overflow_timeout=20)
    first = add.submit(1)
    from threading import Timer

    timer = Timer(0.1, lambda: app.ledger.claim(first.id, "w", "w", 1))
    timer.start()
    assert add.submit(2).state == "queued"
    timer.join()


def test_waiting_for_room_has_an_end(app: Perdure, add: Task[..., int]) -> None:
    bounded(app, max_depth=1, overflow="wait", overflow_timeout=0.1)
    add.submit(1)
    with pytest.raises(BulkheadFull):
        add.submit(2)
    assert app.jobs.count() == {"queued": 1}


# -- handles -----------------------------------------------------------------------------------------------------------


def test_waiting_for_a_result(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(3, 4)
    with pytest.raises(TimeoutError, match=f"job {handle.id} is queued after 0.05 s"):
        handle.wait(timeout=0.05)
    with pytest.raises(JobNotFinished, match="is queued"):
        handle.result()
    finish(app, handle.id)
    assert handle.wait() == handle.result() == app.jobs.get(handle.id).wait(timeout=0) == 7
    assert [attempt.outcome for attempt in handle.attempts()] == ["succeeded"]


def test_a_result_comes_back_as_its_annotation_says(app: Perdure) -> None:
    @app.job(name="tests.order")
    def order() -> Order: ...  # type: ignore[empty-body]

    handle = order.submit()
    from dataclasses import replace

    value = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), Size.SMALL)
    finish(app, handle.id, replace(SUCCEED, result=order.signature.encode_result(value)))
    assert handle.result() == value


def test_a_result_that_does_not_fit_its_annotation_is_given_as_it_is(app: Perdure) -> None:
    @app.job(name="tests.wrong")
    def wrong() -> int: ...  # type: ignore[empty-body]

    handle = wrong.submit()
    from dataclasses import replace

    finish(app, handle.id, replace(SUCCEED, result='"seven"'))
    assert handle.result() == "seven"  # type: ignore[comparison-overlap]


def test_waiting_for_a_job_that_dies(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    finish(app, handle.id, DIE)
    with pytest.raises(JobDead, match=f"tests.add {handle.id}: ValueError: no") as dead:
        handle.wait(timeout=5)
    [letter] = app.dead_letters.list()
    assert (dead.value.dead_letter_id, dead.value.job_id) == (letter.id, handle.id)
    assert (handle.state, handle.error) == ("dead", "no")


def test_cancelling(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    events: list[JobEvent] = []
    app.events.subscribe(events.append)
    assert handle.cancel("no more")
    assert not handle.cancel()
    with pytest.raises(JobCancelled):
        handle.wait(timeout=5)
    [cancelled] = events
    assert (cancelled.source, cancelled.target, cancelled.reason) == ("queued", "cancelled", "no more")
    with pytest.raises(JobNotFound):
        app.jobs.cancel("nobody")


def test_what_a_handle_shows_of_a_job_under_way(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    assert handle.progress is None
    claim = app.ledger.claim(handle.id, "w", "w", 1)
    assert claim is not None
    JobContext(claim, app.ledger).progress(1, 4, "files")
    progress = handle.progress
    assert progress is not None
    assert (progress.done, progress.total, progress.message) == (1, 4, "files")
    app.ledger.settle(claim, RETRY)
    assert (handle.state, handle.error) == ("retrying", "no")


def test_listing_and_counting(app: Perdure, add: Task[..., int]) -> None:
    handles = add.options(tags={"tenant": "a"}).submit_many([(n,) for n in range(3)])
    other = add.options(bulkhead="critical").submit(9)
    assert [handle.id for handle in app.jobs.list(limit=1)] == [other.id]
    assert {handle.id for handle in app.jobs.list(tag=("tenant", "a"))} == {handle.id for handle in handles}
    assert len(app.jobs.list(state="queued", task="tests.add", since=datetime.now(UTC) - timedelta(minutes=1))) == 4
    assert app.jobs.count(by="bulkhead") == {"normal": 3, "critical": 1}
    with pytest.raises(InvalidArguments, match=r"'queud' is no job state. Did you mean 'queued'\?"):
        app.jobs.list(state="queud")
    with pytest.raises(InvalidArguments, match="NAME=VALUE"):
        app.jobs.list(tag="tenant")
    with pytest.raises(InvalidArguments, match="Allowed: state, task, bulkhead"):
        app.jobs.count(by="colour")


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_replaying_a_dead_letter(app: Perdure, add: Task[..., int]) -> None:
    first = add.submit(1, b=2)
    finish(app, first.id, DIE)
    [letter] = app.dead_letters.list(error="ValueError")
    with pytest.raises(InvalidArguments, match="argument 'a'"):
        app.dead_letters.replay(letter.id, args=["one"])
    assert app.dead_letters.get(letter.id).status == "open"
    again = app.dead_letters.replay(letter.id, args=[5], by="ann")
    assert (again.record.args, again.record.kwargs, again.record.replay_of) == ([5], {"b": 2}, first.id)
    assert again.ticketed
    assert ticket_ids(app)[-1] == again.id
    assert app.dead_letters.replay(letter.id).id == again.id
    forced = app.dead_letters.replay(letter.id, force=True)
    assert (forced.record.args, forced.deduplicated) == ([1], False)
    letter = app.dead_letters.get(letter.id)
    assert (letter.status, letter.replayed_as, letter.replayed_by) == ("replayed", forced.id, "python")


def test_a_letter_of_an_unknown_task_or_a_message_cannot_be_replayed(app: Perdure, add: Task[..., int]) -> None:
    handle = add.submit(1)
    finish(app, handle.id, DIE)
    [letter] = app.dead_letters.list()
    del app.tasks["tests.add"]
    with pytest.raises(UnknownTask):
        app.dead_letters.replay(letter.id)


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_a_task_is_still_a_function(sqlite_app: Perdure) -> None:
    @sqlite_app.job
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")
    assert double.name.endswith("double")
    assert sqlite_app.task(double.name) is double


def test_defaults_and_options_of_a_task(sqlite_app: Perdure) -> None:
    @sqlite_app.job(name="a.b", bulkhead="critical", retry="fast", timeout=30, breaker="payments", priority=1)
    def work(ctx: JobContext, n: int) -> None: ...

    assert (work.name, work.bulkhead, work.retry, work.timeout) == ("a.b", "critical", RetryPolicy.named("fast"), 30)
    assert (work.breaker, work.priority, work.is_async) == ("payments", 1, False)
    assert work.submit(3).record.priority == 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"bulkhead": "critcal"}, UnknownBulkhead, "Did you mean 'critical'"),
        ({"retry": "fats"}, InvalidJobDefinition, "Did you mean 'fast'"),
        ({"timeout": 0}, InvalidJobDefinition, "timeout=0"),
        ({"priority": 10}, InvalidJobDefinition, "priority=10"),
        ({"name": "n" * 256}, InvalidJobDefinition, "255"),
        ({"timeuot": 5}, InvalidJobDefinition, "timeuot"),
    ],
)
def test_a_wrong_definition_names_what_is_wrong(
    sqlite_app: Perdure, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    def work() -> None: ...

    with pytest.raises(error, match=said):
        sqlite_app.job(**options)(work)
    assert sqlite_app.tasks == {}


def test_what_is_no_function_cannot_be_a_job(sqlite_app: Perdure) -> None:
    import functools

    def generator() -> Iterator[int]:
        yield 1

    for wrong in (generator, 7, functools.partial(print, 1)):
        with pytest.raises(InvalidJobDefinition):
            sqlite_app.job(wrong)  # type: ignore[call-overload]


def test_two_functions_cannot_share_a_name(sqlite_app: Perdure) -> None:
    @sqlite_app.job(name="a.b")
    def one() -> None: ...

    def two() -> None: ...

    with pytest.raises(DuplicateTask, match=r"'a.b' is registered .*one.* already; give another name="):
        sqlite_app.job(name="a.b")(two)
    assert sqlite_app.task("a.b") is one


def test_a_module_that_is_loaded_again_redefines_its_tasks(sqlite_app: Perdure, tmp_path: Path) -> None:
    source = tmp_path / "shop_tasks.py"
    names: dict[str, Any] = {"app": sqlite_app, "__name__": "shop_tasks"}
    for version in ("1", "2"):
        source.write_text(f"@app.job\ndef work(n: int) -> str:\n    return '{version}'\n")
        exec(compile(source.read_text(), str(source), "exec"), names)
        assert sqlite_app.task("shop_tasks.work")(1) == version
    assert list(sqlite_app.celery.tasks).count("shop_tasks.work") == 1


def test_a_task_that_is_defined_late_is_known_to_celery(sqlite_app: Perdure) -> None:
    celery = sqlite_app.celery

    @sqlite_app.job(name="late.work")
    def work() -> None: ...

    assert "late.work" in celery.tasks
    with pytest.raises(Exception, match="perdure worker"):
        celery.tasks["late.work"]()
