"""From the schema of tickets to the one where the ledger is the queue: nothing is lost, everything keeps its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from perdure.errors import LedgerOutdated
from perdure.ledger import Ledger, migrate
from perdure.ledger.engine import Database
from perdure.ledger.indexes import metadata
from perdure.model.lanes import PLAIN, REPLICAS, lane_of
from support.ledgers import SUCCEED, claimer, job

pytestmark = pytest.mark.slow

LONG_AGO = 1.7e9
#: What the release before wrote of a job in each state. Times are seconds after LONG_AGO.
JOBS: dict[str, dict[str, Any]] = {
    "second": {"state": "queued", "queued_at": 20, "ticketed_at": 20},
    "first": {"state": "queued", "queued_at": 10, "ticketed_at": None, "attempt": 1, "crashes": 1, "error": "killed"},
    "urgent": {"state": "queued", "queued_at": 30, "ticketed_at": 30, "priority": 0},
    "guarded": {"state": "queued", "queued_at": 15, "breaker": "payments"},
    "limited": {"state": "queued", "queued_at": 16, "limit_key": "a"},
    "replica": {"state": "queued", "queued_at": 17, "replica_of": "coordinator"},
    "unknown": {"state": "queued", "queued_at": 18, "unknown_since": 19, "task": "t.new"},
    "due": {"state": "scheduled", "run_at": 25},
    "later": {"state": "scheduled", "run_at": 2e9},
    "retried": {"state": "retrying", "run_at": 12, "attempt": 1, "error": "boom"},
    "put off": {"state": "retrying", "run_at": 2e9, "snoozes": 3, "breaker": "payments"},
    "running": {
        "state": "running",
        "queued_at": 5,
        "started_at": 6,
        "attempt": 1,
        "fence": 4,
        "worker_id": "w-gone",
        "worker_name": "w",
    },
    "done": {"state": "succeeded", "queued_at": 1, "finished_at": 2, "result": "7", "idempotency_key": "k"},
    "died": {"state": "dead", "queued_at": 1, "finished_at": 2, "dead_letter_id": "letter"},
    "gone": {"state": "cancelled", "queued_at": None, "finished_at": 2},
}
TIMES = ("queued_at", "ticketed_at", "run_at", "started_at", "finished_at", "unknown_since")
WAITING = {"scheduled", "queued", "retrying"}


def write_job(connection: Connection, name: str, values: dict[str, Any]) -> None:
    row = {
        "id": name, "task": "t", "bulkhead": "normal", "priority": 5, "args": "[1]", "kwargs": "{}", "payload_digest": "d",
        "created_at": LONG_AGO, **values,
    }  # fmt: skip
    row |= {column: LONG_AGO + row[column] for column in TIMES if row.get(column) is not None}
    names = ", ".join(row)
    connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def write_worker(connection: Connection, name: str, state: str, beat_ago: float) -> None:
    now = "extract(epoch from now())" if connection.dialect.name == "postgresql" else "unixepoch()"
    connection.execute(
        text(
            "INSERT INTO workers (id, name, bulkhead, host, pid, concurrency, state, draining, started_at, heartbeat_at, "
            f"lease_ttl, state_changed_at) VALUES (:id, :id, 'normal', 'h', 1, 1, :state, false, 1, {now} - :ago, 5, 1)"
        ),
        {"id": name, "state": state, "ago": beat_ago},
    )


OTHERS = (
    "INSERT INTO attempts (job_id, number, outcome, finished_at) VALUES ('first', 1, 'crashed', 1)",
    "INSERT INTO job_tags (job_id, tag, value) VALUES ('first', 'tenant', 'a')",
    "INSERT INTO checkpoints (job_id, name, fence, seq, data, saved_at) VALUES ('first', 'main', 1, 1, 'x', 1)",
    "INSERT INTO steps (job_id, position, name, result, tries, fence, finished_at) VALUES ('first', 1, 's', '1', 1, 1, 1)",
    "INSERT INTO job_notes (id, job_id, kind, text, at) VALUES ('n', 'first', 'damaged', 'x', 1)",
    "INSERT INTO dead_letters (id, job_id, task, args, kwargs, reason, fingerprint, created_at, status) "
    "VALUES ('letter', 'died', 't', '[]', '{}', 'exhausted', 'f', 1, 'open')",
    "INSERT INTO bulkheads (name, paused) VALUES ('critical', true)",
    "INSERT INTO schedules (name, last_tick, updated_at) VALUES ('hourly', 5, 1)",
    "INSERT INTO facts (name, value, updated_at) VALUES ('epoch', 'e-1', 1)",
)


@pytest.fixture
def old(bare_url: str) -> Iterator[Database]:
    """A database as the release before made it, with its rows."""
    from alembic import command

    database = Database(bare_url)

    def make(connection: Connection) -> None:
        command.upgrade(migrate._config(connection), "0001")
        connection.execute(text(f"ALTER TABLE {migrate.VERSION_TABLE} RENAME TO alembic_version"))
        for name, values in JOBS.items():
            write_job(connection, name, values)
        for statement in OTHERS:
            connection.execute(text(statement))
        write_worker(connection, "w-gone", "gone", 9000.0)
        write_worker(connection, "w-killed", "healthy", 60.0)

    database.run(make)
    yield database
    database.close()


Upgraded = Callable[[], Ledger]


@pytest.fixture
def upgraded(old: Database) -> Iterator[Upgraded]:
    made: list[Ledger] = []

    def upgrade() -> Ledger:
        ledger = Ledger(old.engine.url.render_as_string(hide_password=False))
        made.append(ledger)
        ledger.upgrade()
        return ledger

    yield upgrade
    for ledger in made:
        ledger.close()


def count(ledger: Ledger, table: str) -> int:
    found: int = ledger.read(lambda c: c.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
    return found


def tables(database: Database) -> set[str]:
    return database.run(lambda c: set(inspect(c).get_table_names()))


def test_every_row_is_there_and_the_schema_is_the_one_of_this_release(old: Database, upgraded: Upgraded) -> None:
    before = {
        table: old.run(lambda c, table=table: c.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # type: ignore[misc]
        for table in tables(old) - {"alembic_version"}
    }
    ledger = upgraded()
    assert {name: count(ledger, f"perdure_{name}") for name in before} == before
    assert tables(old) == {*metadata.tables, migrate.VERSION_TABLE}
    assert migrate.drift(ledger.database) == []
    assert ledger.schema_version() == migrate.SCHEMA_VERSION
    assert ledger.upgrade() == migrate.SCHEMA_VERSION


def test_jobs_keep_their_states_and_what_they_have_been_through(upgraded: Upgraded) -> None:
    ledger = upgraded()
    seen = {"due": "queued", "retried": "queued"}  # their times have come
    for name, values in JOBS.items():
        record = ledger.jobs.get(name)
        assert record.state == seen.get(name, values["state"])
        assert (record.attempt, record.crashes, record.snoozes) == tuple(
            values.get(counter, 0) for counter in ("attempt", "crashes", "snoozes")
        )
        assert record.error == values.get("error")
        assert (record.run_at is not None) == (values["state"] in WAITING)
    assert ledger.jobs.get("done").result_json == "7"
    assert [
        found.deduplicated for found in ledger.jobs.submit([job(1, task="t", payload_digest="d", idempotency_key="k")])
    ] == [True]


def test_jobs_keep_their_places_and_find_their_lanes(upgraded: Upgraded) -> None:
    ledger = upgraded()
    by = claimer(ledger)
    lanes = {lane.name: lane.waits for lane in ledger.jobs.lanes("normal")}
    assert set(lanes) == {PLAIN, REPLICAS, "breaker:payments", lane_of("t", limit_key="a", breaker=None)}
    assert set(lanes.values()) == {0.0}
    found = {lane: [claim.job_id for claim in ledger.jobs.claim(by, 99, lane)] for lane in lanes}
    assert found[PLAIN] == ["urgent", "first", "retried", "unknown", "second", "due"]
    assert found["breaker:payments"] == ["guarded"]
    assert found[REPLICAS] == ["replica"]
    assert found[lane_of("t", limit_key="a", breaker=None)] == ["limited"]


def test_a_job_that_ran_when_its_worker_was_stopped_is_taken_back_to_its_place(upgraded: Upgraded) -> None:
    from perdure.model.settlement import lost

    ledger = upgraded()
    assert ledger.running.orphaning(10) == ["w-gone"]
    [running] = ledger.running.of_worker("w-gone")
    assert running.claim.fence == 4
    ledger.jobs.settle(running.claim, lost(running.claim, 3, "gone"))
    claims = [claim.job_id for claim in ledger.jobs.claim(claimer(ledger), 2)]
    assert claims == ["urgent", "running"]


def test_what_is_claimed_after_the_upgrade_can_be_settled(upgraded: Upgraded) -> None:
    ledger = upgraded()
    claims = [claim for lane in ledger.jobs.lanes("normal") for claim in ledger.jobs.claim(claimer(ledger), 99, lane.name)]
    assert ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]).lost == {}
    assert ledger.jobs.lanes("normal")[0].waits > 1e6


def test_indexes_are_partial_that_are_to_be_small(upgraded: Upgraded) -> None:
    ledger = upgraded()
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
    if ledger.database.dialect == "postgresql":
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    found = dict(ledger.read(lambda c: [tuple(row) for row in c.execute(text(query))]))
    wanted = {
        str(index.name): index.dialect_options[ledger.database.dialect]["where"] is not None
        for table in metadata.tables.values()
        for index in table.indexes
    }
    assert {name: " WHERE " in (found[name] or "") for name in wanted} == wanted


@pytest.mark.parametrize("state", ["healthy", "suspect"])
def test_it_refuses_while_workers_of_the_release_before_beat(old: Database, upgraded: Upgraded, state: str) -> None:
    old.run(lambda c: write_worker(c, "w-live", state, 0.0))
    before = tables(old)
    with pytest.raises(Exception, match="workers of the release before are running on this ledger: w-live") as refused:
        upgraded()
    assert "Stop them" in str(refused.value)
    assert tables(old) == before  # it works for them as it did
    old.run(lambda c: c.execute(text("UPDATE workers SET state = 'gone' WHERE id = 'w-live'")))
    assert upgraded().schema_version() == migrate.SCHEMA_VERSION


def test_use_without_an_upgrade(old: Database) -> None:
    ledger = Ledger(old.engine.url.render_as_string(hide_password=False))
    if old.dialect == "sqlite":
        assert len(ledger.jobs.listing(limit=100)) == len(JOBS)  # an embedded file upgrades itself
    else:
        with pytest.raises(LedgerOutdated, match=rf"has schema 0001, this release needs {migrate.SCHEMA_VERSION}\. Run: "):
            ledger.jobs.listing()
    ledger.close()


# -- in an application's database --------------------------------------------------------------------------------------

OF_THE_APPLICATION = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0001')",
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, title TEXT)",
    "CREATE INDEX ix_jobs_state ON jobs (title)",
    "INSERT INTO jobs VALUES (1, 'carpenter')",
    "CREATE TABLE attempts (id INTEGER PRIMARY KEY)",
    "CREATE TABLE workers (id INTEGER PRIMARY KEY)",
)


def test_an_application_s_tables_and_its_alembic_version_are_left_alone(bare_url: str) -> None:
    ledger = Ledger(bare_url)
    with ledger.database.engine.begin() as connection:
        for statement in OF_THE_APPLICATION:
            connection.execute(text(statement))
    assert ledger.schema_version() is None
    ledger.upgrade()
    assert ledger.upgrade() == migrate.SCHEMA_VERSION
    ledger.jobs.submit([job(1)])
    assert migrate.drift(ledger.database) == []
    assert tables(ledger.database) == {
        *metadata.tables,
        migrate.VERSION_TABLE,
        "alembic_version",
        "jobs",
        "attempts",
        "workers",
    }
    assert ledger.read(lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar_one()) == "0001"
    assert ledger.read(lambda c: c.execute(text("SELECT title FROM jobs")).scalar_one()) == "carpenter"
    ledger.close()


def test_an_application_s_version_beside_ours_stays_when_ours_moves_out(old: Database, upgraded: Upgraded) -> None:
    old.run(lambda c: c.execute(text("INSERT INTO alembic_version VALUES ('5f3a')")))
    ledger = upgraded()
    assert ledger.read(lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar_one()) == "5f3a"
