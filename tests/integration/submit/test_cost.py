"""What the way of a job to its start costs: one round trip to the ledger for a submit and one for a claim, and one command
of Redis that is left out while bells ring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Connection, event

from perdure import Perdure, Task
from perdure.broker import bells
from perdure.broker.queues import MOST
from perdure.ledger.jobs.claim import Claimer

QUEUE = "perdure.normal"
#: What the script that rings calls by itself, and how it is counted.
WITHIN_THE_SCRIPT = {"type", "llen", "lpush", "ltrim", "del"}
ASKING = {"info", "config", "config|resetstat"}


@pytest.fixture
def task(app: Perdure) -> Task[[int], None]:
    @app.job(name="cost.work")
    def work(number: int) -> None: ...

    for number in range(10):  # connections are made, scripts loaded, and PostgreSQL's statement prepared
        work.submit(number)
    return work


@pytest.fixture
def client(redis_url: str, task: Any) -> redis.Redis:
    """A client of a Redis that has begun to count commands."""
    client = redis.Redis.from_url(redis_url)
    client.config_resetstat()
    return client


def commands(client: redis.Redis) -> dict[str, int]:
    stats = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
    return {name: count for name, count in calls.items() if name not in WITHIN_THE_SCRIPT | ASKING}


def test_a_submit_is_one_statement(app: Perdure, task: Task[[int], None]) -> None:
    sent: list[str] = []
    event.listen(app.ledger.database.engine, "before_cursor_execute", lambda _c, _u, sql, *_: sent.append(sql))
    task.submit(1)
    task.submit_many([(number,) for number in range(500)])
    assert len(sent) == 2


def test_a_submit_and_a_claim_do_without_sqlalchemys_way_of_a_statement(
    app: Perdure, task: Task[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimer = new_claimer(app)
    executed: list[object] = []
    execute = Connection.execute

    def note(connection: Connection, statement: Any, *values: Any, **how: Any) -> Any:
        executed.append(statement)
        return execute(connection, statement, *values, **how)

    monkeypatch.setattr(Connection, "execute", note)
    task.submit(1)
    assert app.ledger.jobs.claim(claimer, 1)
    assert executed == []


def test_a_submit_and_a_claim_are_one_round_trip_to_postgresql_each(
    app: Perdure, task: Task[[int], None], tmp_path: Path
) -> None:
    if app.ledger.database.dialect != "postgresql":
        pytest.skip("SQLite is in this process")
    claimer = new_claimer(app)
    for _ in range(6):  # its statement is prepared
        app.ledger.jobs.claim(claimer, 1)
    spoken: Any = app.ledger.database.run(lambda connection: connection.raw, autocommit=True, hot=True)
    with (tmp_path / "trace").open("wb") as trace:
        spoken.pgconn.trace(trace.fileno())
        try:
            for number in range(5):
                task.submit(number)
                assert app.ledger.jobs.claim(claimer, 1)
        finally:
            spoken.pgconn.untrace()
    messages = [line.split("\t")[3] for line in (tmp_path / "trace").read_text().splitlines()]
    assert messages.count("ReadyForQuery") == 10
    assert "Parse" not in messages  # it was prepared before


def new_claimer(app: Perdure) -> Claimer:
    return Claimer("normal", "w-1", "w", 8, tuple(app.tasks))


def test_a_submit_is_one_command_of_redis(client: redis.Redis, task: Task[[int], None]) -> None:
    for number in range(5):
        client.delete(QUEUE)
        task.submit(number)
    assert commands(client) == {"evalsha": 5}


def test_who_submits_does_not_ring_while_as_many_bells_ring_as_help(
    client: redis.Redis, task: Task[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bells, "FULL_FOR", 3600.0)
    for number in range(MOST + 1):
        task.submit(number)
    assert client.llen(QUEUE) == MOST
    client.config_resetstat()
    for number in range(50):
        task.submit(number)
    assert commands(client) == {}


def test_who_submits_rings_again_soon(
    client: redis.Redis, task: Task[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bells, "FULL_FOR", 0.0)
    for number in range(MOST + 1):
        task.submit(number)
    client.delete(QUEUE)
    task.submit(1)
    assert client.llen(QUEUE) == 1


def test_another_bulkhead_has_bells_of_its_own(
    client: redis.Redis, task: Task[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bells, "FULL_FOR", 3600.0)
    for number in range(MOST + 1):
        task.submit(number)
    task.options(bulkhead="critical").submit(1)
    assert client.llen("perdure.critical") == 1
