"""The schema's version: made by itself on SQLite, by `perdure db upgrade` on PostgreSQL, once whoever starts together."""

from __future__ import annotations

import multiprocessing
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from perdure.errors import LedgerOutdated, LedgerUnavailable
from perdure.ledger import Ledger, migrate
from support.ledgers import at_once, job


def set_version(ledger: Ledger, version: str) -> None:
    with ledger.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = :version"), {"version": version})


def test_upgrading_an_empty_database(bare_url: str) -> None:
    ledger = Ledger(bare_url)
    assert ledger.schema_version() is None
    assert ledger.upgrade() == migrate.SCHEMA_VERSION
    assert ledger.schema_version() == migrate.SCHEMA_VERSION
    assert migrate.drift(ledger.database) == []
    assert ledger.upgrade() == migrate.SCHEMA_VERSION
    ledger.jobs.submit([job(1)])
    ledger.close()


def test_drift_is_found(bare_url: str) -> None:
    ledger = Ledger(bare_url)
    ledger.upgrade()
    with ledger.database.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_perdure_jobs_ready"))
        connection.execute(text("ALTER TABLE perdure_jobs ADD COLUMN colour TEXT"))
    found = str(migrate.drift(ledger.database))
    assert "add_index" in found
    assert "colour" in found
    ledger.close()


def test_this_release_s_version_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "perdure.ledger:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.SCHEMA_VERSION]


def test_migrations_are_in_the_package() -> None:
    names = [entry.name for entry in files("perdure.ledger.migrations.versions").iterdir()]
    assert any(name.startswith(migrate.SCHEMA_VERSION) for name in names)


def test_a_sqlite_file_makes_itself_in_folders_that_do_not_exist(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/a/b/ledger.db")
    assert ledger.jobs.submit([job(1)])
    assert ledger.schema_version() == migrate.SCHEMA_VERSION
    ledger.close()


def test_postgresql_without_a_schema_says_what_to_do(bare_postgres_url: str) -> None:
    ledger = Ledger(bare_postgres_url)
    for _ in range(2):
        with pytest.raises(
            LedgerOutdated, match=r"has schema none, this release needs \d+\. Run: perdure db upgrade"
        ) as error:
            ledger.jobs.submit([job(1)])
    assert "***" in str(error.value)
    assert isinstance(error.value, LedgerUnavailable)
    ledger.upgrade()
    assert ledger.jobs.submit([job(1)])
    ledger.close()


def test_a_newer_schema_is_left_alone(bare_url: str) -> None:
    first = Ledger(bare_url)
    first.upgrade()
    set_version(first, "9999")
    ledger = Ledger(bare_url)
    with pytest.raises(LedgerOutdated, match=r"has schema 9999.*Install the newer release"):
        ledger.jobs.submit([job(1)])
    assert ledger.schema_version() == "9999"
    for one in (first, ledger):
        one.close()


@pytest.mark.slow
def test_processes_that_first_use_a_sqlite_file_together(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    for attempt in range(3):
        url = f"sqlite:///{tmp_path}/{attempt}/ledger.db"
        failures, start = forked.SimpleQueue(), forked.Barrier(8)

        def submit(url: str = url, start: object = start, failures: object = failures) -> None:
            start.wait(30)  # type: ignore[attr-defined]
            try:
                Ledger(url).jobs.submit([job(1)])
                failures.put(None)  # type: ignore[attr-defined]
            except BaseException as error:
                failures.put(repr(error))  # type: ignore[attr-defined]

        processes = [forked.Process(target=submit) for _ in range(8)]
        for process in processes:
            process.start()
        assert [failures.get() for _ in processes] == [None] * 8
        for process in processes:
            process.join(30)
        ledger = Ledger(url)
        assert ledger.jobs.count("state") == {"queued": 8}
        assert migrate.drift(ledger.database) == []
        ledger.close()


def test_upgrades_at_once(bare_url: str) -> None:
    ledgers = [Ledger(bare_url) for _ in range(4)]
    assert at_once([ledger.upgrade for ledger in ledgers]) == [migrate.SCHEMA_VERSION] * 4
    assert migrate.drift(ledgers[0].database) == []
    for ledger in ledgers:
        ledger.close()
