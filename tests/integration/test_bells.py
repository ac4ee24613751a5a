"""Bells on a real Redis: at most as many as can be answered, and nothing that is in their queue does any harm."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Queue
from kombu.asynchronous import Hub as EventLoop
from vine import promise

from perdure import Perdure
from perdure.broker.bells import Bells
from perdure.broker.queues import BELL, MOST
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.intake import bell_reader
from perdure_workers.intake.bell_reader import BellReader
from perdure_workers.recovery.looker import Looker
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.worker.celery_worker import stop_asking
from support.waiting import wait_until

pytestmark = pytest.mark.slow

QUEUE = "perdure.normal"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def bells(redis_url: str) -> Bells:
    return Bells(redis_url, lambda: pytest.fail("Celery is not needed for a Redis"))


# -- ringing -----------------------------------------------------------------------------------------------------------


def test_as_many_ring_as_could_be_answered(bells: Bells, client: redis.Redis) -> None:
    assert bells.ring("normal")
    assert client.llen(QUEUE) == 1
    bells.ring("normal", 5)
    assert client.llen(QUEUE) == 6
    bells.ring("normal", 10_000)
    assert client.llen(QUEUE) == MOST
    bells.ring("normal", 3)
    assert client.llen(QUEUE) == MOST
    assert client.llen("perdure.critical") == 0


def test_bells_are_rung_from_many_threads_without_passing_the_bound(bells: Bells, client: redis.Redis) -> None:
    threads = [threading.Thread(target=lambda: [bells.ring("normal", 3) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.llen(QUEUE) == MOST


def test_a_flood_is_cut(bells: Bells, client: redis.Redis) -> None:
    client.rpush(QUEUE, *range(100_000))
    bells.ring("normal")
    assert client.llen(QUEUE) == MOST
    client.rpush(QUEUE, *range(100_000))
    bells.hush("normal")
    assert client.llen(QUEUE) == MOST


def test_hushing_rings_nothing(bells: Bells, client: redis.Redis) -> None:
    bells.hush("normal")
    assert client.llen(QUEUE) == 0


@pytest.mark.parametrize("kind", ["string", "set", "hash", "stream"])
def test_a_key_of_another_type_does_not_leave_workers_deaf(bells: Bells, client: redis.Redis, kind: str) -> None:
    put: Any = {
        "string": lambda: client.set(QUEUE, "x"),
        "set": lambda: client.sadd(QUEUE, "x"),
        "hash": lambda: client.hset(QUEUE, "x", "y"),
        "stream": lambda: client.xadd(QUEUE, {"x": "y"}),
    }
    put[kind]()
    assert bells.ring("normal")
    assert client.llen(QUEUE) == 1


def test_kombu_reads_a_bell_as_a_message_of_celery(app: Perdure) -> None:
    app.bells.ring("normal", 2)
    with app.celery.connection_for_read() as connection:
        channel: Any = connection.default_channel
        messages = [channel.basic_get(QUEUE, no_ack=True) for _ in range(3)]
    assert messages[2] is None
    assert [message.headers["task"] for message in messages[:2]] == [BELL] * 2
    assert len({message.headers["id"] for message in messages[:2]}) == 2
    assert [message.decode() for message in messages[:2]] == [[[], {}, {}]] * 2


def test_while_redis_is_away_ringing_waits_at_most_once_a_second(tmp_path: Path) -> None:
    """A Redis that hangs is worse than one that is gone: each question to it would cost its timeout."""
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        bells = Bells(server.url, lambda: pytest.fail("Celery is not needed for a Redis"))
        assert bells.ring("normal")
        asked: list[float] = []
        link = bells._link
        assert link is not None
        run = link.scripts.run

        def count(*args: Any) -> Any:
            asked.append(time.monotonic())
            return run(*args)

        link.scripts.run = count  # type: ignore[assignment]
        server.stop()
        assert [bells.ring("normal") for _ in range(200)] == [False] * 200
        assert len(asked) <= 2 + (asked[-1] - asked[0]) / 0.9
        server.start()
        wait_until(lambda: bells.ring("normal"))


# -- answering ---------------------------------------------------------------------------------------------------------


class Hub:
    """Remembers what is to be called later."""

    def __init__(self) -> None:
        self.later: list[Any] = []

    def call_later(self, _seconds: float, work: Any, *args: Any) -> None:
        self.later.append(lambda: work(*args))

    def go_on(self) -> None:
        waiting, self.later = self.later, []
        for work in waiting:
            work()


class Bell:
    """A bell as kombu delivers it."""

    def __init__(self, acknowledged: Any) -> None:
        self._acknowledged = acknowledged

    def ack(self, *_: Any) -> None:
        self._acknowledged()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> BellReader:
    kept: list[Any] = []
    made = BellReader(Wakeups(2), kept.append)
    monkeypatch.setattr(bell_reader, "reader", made)
    return made


def test_a_bell_wakes_a_child_and_is_held_while_all_are_busy(reader: BellReader) -> None:
    hub, acknowledged = Hub(), []
    consumer = SimpleNamespace(hub=hub, connection_errors=())
    for number in range(4):
        reader.answer(consumer, Bell(lambda number=number: acknowledged.append(number)))
    assert acknowledged == [0, 1]
    hub.go_on()
    assert acknowledged == [0, 1]  # both children are busy still
    assert reader._wakeups.wait(0.0)
    hub.go_on()
    assert acknowledged == [0, 1, 2, 3]
    assert hub.later == []


def test_a_bell_that_was_held_is_acknowledged_before_the_event_loop_sleeps(reader: BellReader) -> None:
    """Else kombu hears no bell until something else wakes the loop."""
    hub, acknowledged = EventLoop(), []
    consumer = SimpleNamespace(hub=hub, connection_errors=())
    hear = bell_reader.answer(None, None, consumer)
    for number in range(3):
        bell = Bell(lambda number=number: acknowledged.append(number))
        hear(bell, None, promise(hub.call_soon, (bell.ack,)))
    told: list[tuple[int, int]] = []
    posts = 2
    reader._wakeups.wait(0.0)
    post = reader._wakeups.post

    def count() -> bool:
        nonlocal posts
        posts += (is_posted := post())
        return is_posted

    reader._wakeups.post = count  # type: ignore[method-assign]
    on_tick: Any = hub.on_tick
    on_tick.add(lambda: told.append((posts, len(acknowledged))))  # where kombu decides whether it hears another one
    ours, theirs = os.pipe()
    hub.add_reader(ours, lambda: None)  # a loop without anything to wait for does not sleep
    turns = hub.create_loop()
    wait_until(lambda: next(turns) or posts == 3)
    hub.remove(ours)
    os.close(theirs)
    assert acknowledged == [0, 1, 2]
    assert told[-1] == (3, 3)


def test_a_bell_of_a_connection_that_is_gone_is_heard_all_the_same(reader: BellReader) -> None:
    def lost() -> None:
        raise ConnectionResetError

    reader.answer(SimpleNamespace(hub=Hub(), connection_errors=(OSError,)), Bell(lost))
    assert reader._wakeups.wait(0.0)


def test_without_an_event_loop_no_bell_is_held(reader: BellReader) -> None:
    acknowledged: list[int] = []
    consumer = SimpleNamespace(hub=None, connection_errors=())
    for number in range(4):
        reader.answer(consumer, Bell(lambda number=number: acknowledged.append(number)))
    assert acknowledged == [0, 1, 2, 3]


# -- looking -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def looker(app: Perdure) -> Looker:
    @app.job(name="work")
    def work() -> None: ...

    @app.job(name="guarded", breaker="b")
    def guarded() -> None: ...

    return Looker(app, "normal", Wakeups(2), lambda: app.bells.hush("normal"))


def test_a_lost_bell_is_found_by_looking(app: Perdure, looker: Looker, redis_url: str) -> None:
    looker.look()
    assert not looker._wakeups.wait(0.0)
    app.task("work").submit()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    looker.look()
    assert looker._wakeups.wait(0.0)


def test_a_look_is_taken_when_the_next_job_becomes_due(app: Perdure, looker: Looker) -> None:
    assert looker.look() == 1.0
    app.task("work").options(delay=60).submit()
    assert looker.look() == 1.0
    app.task("guarded").options(delay=0.5).submit()
    assert looker.look() <= 0.5
    assert not looker._wakeups.wait(0.0)
    wait_until(lambda: looker.look() and looker._wakeups.wait(0.0))


def test_a_job_that_is_due_is_found_behind_many_lanes(
    app: Perdure, looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perdure.ledger.jobs import lanes
    from perdure_workers.recovery import looker as module
    from support.ledgers import job

    for each in (lanes, module):
        monkeypatch.setattr(each, "LANES", 2)
    app.ledger.jobs.submit([job(task="work", limit_key=str(n), delay=60.0) for n in range(5)])
    looker.look()
    assert not looker._wakeups.wait(0.0)
    app.ledger.jobs.submit([job(task="work", limit_key="9")])
    looker.look()
    assert looker._wakeups.wait(0.0)


def test_after_a_slow_look_the_next_ones_find_what_is_new_and_what_is_still_there(
    app: Perdure, monkeypatch: pytest.MonkeyPatch, looker: Looker
) -> None:
    from perdure_workers.recovery import looker as module
    from perdure_workers.shared.pace import Pace

    monkeypatch.setattr(looker, "_whole", Pace(1e9, 1e9, shortest=-1.0))
    monkeypatch.setattr(module, "SLACK", 0.0)
    looker.look()
    assert not looker._wakeups.wait(0.0)
    app.task("work").submit()
    for _ in range(3):  # nobody takes it
        looker.look()
        assert looker._wakeups.wait(0.0)


def test_looks_note_jobs_that_nobody_knows_and_cut_a_flood(app: Perdure, looker: Looker, redis_url: str) -> None:
    from support.ledgers import submitted

    unknown = submitted(app.ledger, task="of another release")
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(QUEUE, *[json.dumps({})] * 1000)
        wait_until(lambda: looker.look() and client.llen(QUEUE) == MOST)
    assert [event.job_id for event in app.ledger.jobs.bury_unknown(0.0, 9)] == [unknown]


@pytest.mark.timeout(60)
def test_a_worker_that_stops_waits_for_no_bell_and_reads_one_that_has_come(redis_url: str, client: redis.Redis) -> None:
    with Connection(redis_url, transport_options={"polling_interval": 600}) as connection:
        channel: Any = connection.channel()
        transport: Any = connection.transport
        ask = transport.cycle._register_BRPOP
        Consumer(channel, [Queue(QUEUE)]).consume()
        ask(channel)
        stop_asking(channel)
        assert not channel._in_poll
        ask(channel)
        client.lpush(QUEUE, "no bell")
        wait_until(channel._in_poll.can_read)
        stop_asking(channel)
        assert channel._in_poll
        channel._in_poll = None  # what came is no message
