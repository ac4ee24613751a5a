"""A ledger that the release before wrote, by real workers: it is opened, migrated, read, and its work goes on.

``tests/data/release_before`` holds the dump of its SQLite file and the application whose jobs it has. Names that stand in
it (types of errors, fingerprints, tasks, schedules, lanes) are read by all later releases: if a test here fails because a
module or a function was renamed, keep the stored name.
"""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, create_engine, text

from perdure import JobHandle, JobState, Perdure
from perdure.ledger import Ledger, migrate
from perdure.ledger.engine import Database
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.supervisor.maintenance import NAME as PRUNE
from support.inline import run, run_once

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / "data" / "release_before"

#: Task, reason, error type and fingerprint of each dead letter, the newest first, and its status.
LETTERS = [
    ("shop.ship", "exhausted", "shop.CarrierDown", "a7bfd5d3d896eabb", "open"),
    ("shop.buy", "exhausted", "ConnectionError", "3d891d2de18ec350", "open"),
    ("shop.poison", "crashed", "WorkerLost", "b91a824d913bb9fa", "open"),
    ("shop.count", "exhausted", "perdure.errors.Unserialisable", "f947df1963a002f1", "open"),
    ("shop.call", "exhausted", "perdure.resilience.timeouts.OperationTimeout", "c3d69f4cb93b9f53", "open"),
    ("shop.ship", "exhausted", "shop.CarrierDown", "a102938cbb9aa59f", "discarded"),
    ("shop.ship", "exhausted", "shop.CarrierDown", "a102938cbb9aa59f", "open"),
    ("shop.ask", "exhausted", "perdure.control.RetryAfter", "8d72315a333e78c3", "open"),
    ("shop.ship", "exhausted", "shop.CarrierDown", "a7bfd5d3d896eabb", "replayed"),
    ("shop.slow", "timeout", "perdure.decision.TimeLimitReached", "cb55d03dfa56636b", "open"),
    ("shop.charge", "discarded", "perdure.control.Discard", "e37082afbaba5dd1", "open"),
]
#: The newest ticks of the two schedules, seconds since the epoch.
REPORTED, PRUNED = 1701269367.66, 1701269367.857


@pytest.fixture(scope="module")
def shop() -> Iterator[ModuleType]:
    """The application's module, under the name that stands in the ledger."""
    spec = importlib.util.spec_from_file_location("shop", DATA / "shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["shop"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["shop"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file as the release before left it."""
    file = tmp_path_factory.mktemp("release_before") / "ledger.db"
    connection = sqlite3.connect(file)
    connection.executescript((DATA / "ledger.sql").read_text())
    connection.close()
    return file


def copied_to_postgresql(file: Path, url: str) -> None:
    """Make the tables of the release before and fill them with the file's rows."""
    from alembic import command

    source, tables = create_engine(f"sqlite:///{file}"), MetaData()
    tables.reflect(source)
    target = Database(url)

    def copy(connection: Connection) -> None:
        command.upgrade(migrate._config(connection), "0001")
        connection.execute(text(f"ALTER TABLE {migrate.VERSION_TABLE} RENAME TO alembic_version"))
        with source.connect() as written:
            for table in tables.tables.values():
                rows = [dict(row) for row in written.execute(table.select()).mappings()]
                if rows and table.name != "alembic_version":
                    connection.execute(table.insert(), rows)

    target.run(copy)
    target.close()
    source.dispose()


@pytest.fixture(scope="module")
def migrated_file(written: Path) -> Path:
    """The file after this release's migrations."""
    file = written.with_name("migrated.db")
    file.write_bytes(written.read_bytes())
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def migrated_database(written: Path, postgres_server: PostgresServer) -> str:
    """Name of a PostgreSQL database with the file's rows, after this release's migrations."""
    url = postgres_server.create_database("of_the_release_before")
    copied_to_postgresql(written, url)
    upgrade(url)
    return "of_the_release_before"


def upgrade(url: str) -> None:
    ledger = Ledger(url)
    ledger.upgrade()
    ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a copy of that ledger, migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_file'), tmp_path / 'ledger.sqlite3')}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield server.create_database("copy_of_before", template=request.getfixturevalue("migrated_database"))
    server.drop_database("copy_of_before")


@pytest.fixture
def app(migrated_url: str, shop: ModuleType, redis_url: str, tmp_path: Path, clean_environment: None) -> Iterator[Perdure]:
    """This release's application on that ledger."""
    app: Perdure = shop.build(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home")
    yield app
    app.close()


def of_task(app: Perdure, task: str, state: str | None = None) -> list[str]:
    return [record.id for record in app.jobs.list(task=task, state=state)]


def test_jobs_are_read_as_they_were_written(app: Perdure, shop: ModuleType) -> None:
    states = {"succeeded": 2, "dead": 11, "cancelled": 1, "scheduled": 1, "queued": 2}  # one was put off until a moment ago
    assert {state: count for state, count in app.jobs.count(by="state").items() if count} == states
    [charged] = of_task(app, "shop.charge", "succeeded")
    job = app.jobs.get(charged)
    assert job.result() == shop.Receipt("o-1", 4200)
    assert job.record.tags == {"tenant": "a", "vip": "yes"}
    assert [record.id for record in app.jobs.list(tag="vip=yes")] == [charged]


def test_attempts_are_read_with_their_errors(app: Perdure) -> None:
    [asked] = of_task(app, "shop.ask")
    attempts = app.jobs.get(asked).attempts()
    assert [(each.number, each.outcome, each.error_type) for each in attempts] == [
        (number, "failed", "perdure.control.RetryAfter") for number in (1, 2, 3)
    ]
    assert {each.worker for each in attempts} == {"normal@host-1"}
    [poison] = of_task(app, "shop.poison")
    assert [each.outcome for each in app.jobs.get(poison).attempts()] == ["crashed"] * 3


def test_letters_are_listed_and_found_by_what_they_hold(app: Perdure) -> None:
    letters = app.dead_letters.list()
    assert [(each.task, each.reason, each.error_type, each.fingerprint, each.status) for each in letters] == LETTERS
    assert {group.fingerprint: group.count for group in app.dead_letters.groups()} == {
        fingerprint: sum(each[3] == fingerprint for each in LETTERS) for *_, fingerprint, _ in LETTERS
    }
    assert len(app.dead_letters.list(error="perdure.errors.Unserialisable")) == 1
    assert len(app.dead_letters.list(text="carrier drone")) == 2
    assert len(app.dead_letters.list(tag="tenant=b")) == 1
    died = next(each for each in letters if each.task == "shop.count")
    assert "Unserialisable" in (died.traceback or "")
    assert {entry.action: entry.who for entry in app.dead_letters.audit()} == {"discard": "ann", "replay": "ann"}


def test_a_fault_that_comes_again_joins_the_group_of_the_release_before(app: Perdure) -> None:
    """Each letter is replayed and dies of the same fault in this release: same fingerprint, same name of the error."""
    again = [each for each in app.dead_letters.list(status="open") if each.task not in ("shop.poison", "shop.slow")]
    for letter in again:
        job = app.dead_letters.replay(letter.id, by="ann")
        assert run(app, job) == "dead"
        reborn = app.dead_letters.get(job.record.dead_letter_id or "")
        assert (reborn.task, reborn.error_type, reborn.fingerprint) == (letter.task, letter.error_type, letter.fingerprint)
        assert app.dead_letters.get(letter.id).replayed_as == job.id
    assert len(again) == 7
    assert len(app.dead_letters.groups()) == len({*(each[3] for each in LETTERS)})


def test_a_letter_is_replayed_with_other_arguments_and_succeeds(app: Perdure, shop: ModuleType) -> None:
    [letter] = app.dead_letters.list(task="shop.charge")
    job = app.dead_letters.replay(letter.id, args=["o-2", 5], by="ann")
    assert run(app, job) == "succeeded"
    assert job.result() == shop.Receipt("o-2", 5)
    assert job.record.tags == {"tenant": "b"}


def test_a_replay_goes_on_at_the_checkpoint_that_the_release_before_saved(app: Perdure) -> None:
    [letter] = app.dead_letters.list(task="shop.count")
    seen: list[Any] = []
    task: Any = app.tasks["shop.count"]
    task.function = lambda ctx, order: seen.append(ctx.checkpoint.load(default=None))
    job = app.dead_letters.replay(letter.id, from_checkpoint=True, by="ann")
    assert run(app, job) == "succeeded"
    assert seen == [{"counted": 3}]


def test_what_waited_runs(app: Perdure) -> None:
    [paused] = of_task(app, "shop.report", "queued")
    assert app.bulkheads["background"].counts.paused
    app.bulkheads.resume("background")
    assert run(app, app.jobs.get(paused)) == "succeeded"
    [snoozed] = of_task(app, "shop.wait")
    job: JobHandle[str] = app.jobs.get(snoozed)
    assert run_once(app, job) == JobState.RETRYING
    assert job.record.snoozes == 2


def test_a_key_that_was_used_is_known(app: Perdure) -> None:
    job = app.tasks["shop.charge"].options(idempotency_key="o-1").submit("o-1", 4200)
    assert job.deduplicated
    assert job.state == "succeeded"


def test_schedules_go_on_where_they_were(app: Perdure) -> None:
    ticks = {"shop.report": REPORTED, PRUNE: PRUNED}
    assert {name: app.ledger.schedules.last_tick(name) for name in ticks} == pytest.approx(ticks)
    assert "shop.report" in app.schedules
