"""Ledgers for tests: migrated once for the session, copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from perdure import Perdure
from perdure.ledger import Ledger
from perdure_workers.embedded.postgres import PostgresServer
from support.ledgers import delete_all_rows


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "ledger.sqlite3"
    ledger = Ledger(f"sqlite:///{file}")
    ledger.upgrade()
    ledger.close()
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """URL of a PostgreSQL database that has the ledger's schema."""
    url = postgres_server.create_database("perdure_migrated")
    ledger = Ledger(url)
    ledger.upgrade()
    ledger.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of a ledger without rows; a test that takes it runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_sqlite'), tmp_path / 'ledger.sqlite3')}"
    url: str = request.getfixturevalue("migrated_postgres")
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:  # much faster than a database for each test
        delete_all_rows(connection)
    return url


@pytest.fixture
def ledger(migrated_url: str) -> Iterator[Ledger]:
    """A ledger without jobs, on SQLite and on PostgreSQL."""
    ledger = Ledger(migrated_url)
    yield ledger
    ledger.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's reaches the test, and it writes no home folder into the project."""
    for name in [name for name in os.environ if name.startswith("PERDURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def app(migrated_url: str, redis_url: str, tmp_path: Path, clean_environment: None) -> Iterator[Perdure]:
    """An application on an empty ledger (on both databases) and an empty Redis."""
    app = Perdure(ledger_url=migrated_url, broker_url=redis_url, home=tmp_path / "home")
    yield app
    app.close()


@pytest.fixture
def sqlite_app(migrated_sqlite: Path, redis_url: str, tmp_path: Path, clean_environment: None) -> Iterator[Perdure]:
    """An application on an empty SQLite ledger and an empty Redis."""
    file = tmp_path / "ledger.sqlite3"
    shutil.copy(migrated_sqlite, file)
    app = Perdure(ledger_url=f"sqlite:///{file}", broker_url=redis_url, home=tmp_path / "home")
    yield app
    app.close()
