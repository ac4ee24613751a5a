"""Fixtures: a real Redis and a real PostgreSQL for the whole session, clean for every test.

No fixture skips a test because a server is missing: it fails with the error that says what to install.
"""

from __future__ import annotations

import gc
import itertools
import shutil
import tempfile
from collections.abc import Generator, Iterator
from multiprocessing import util
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from perdure import Perdure
from perdure_workers.embedded.postgres import PostgresServer
from perdure_workers.embedded.redis import RedisServer
from support.thorough import part_of

#: A busy machine is no fault of what is tried.
settings.register_profile("perdure", deadline=None, max_examples=part_of(200))
settings.load_profile("perdure")

database_numbers = itertools.count(1)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what needs PostgreSQL, for ``make test-fast``."""
    fixtures = getattr(item, "fixturenames", ())
    if "postgres" in item.name or any("postgres" in name for name in fixtures):
        item.add_marker(pytest.mark.postgresql)


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: no collection of garbage has to look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def forget_connections_of_other_tests() -> None:
    """Have forks of this module leave alone what earlier ones left: kombu would close it there, and wait for its server."""
    registered = util._afterfork_registry  # type: ignore[attr-defined]
    for key in [key for key in list(registered) if str(getattr(key[-1], "__module__", "")).startswith(("kombu", "celery"))]:
        registered.pop(key, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports go from process to process as UTF-8, which has no lone surrogates; what a test has logged may have some."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def make_ledger(url: str) -> None:
    app = Perdure(ledger_url=url)
    app.ledger.upgrade()
    app.close()


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """A folder that the account of PostgreSQL can reach; those of pytest (tmp_path) are private to the user."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_server(server_dir: Path) -> Iterator[RedisServer]:
    """A Redis for the session. Tests that stop or kill it start it again; better they make one of their own."""
    with RedisServer(server_dir / "redis", die_with_parent=True) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server(server_dir: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for the session."""
    with PostgresServer(server_dir / "postgres", die_with_parent=True, fast_unsafe_for_tests=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """Name of the database that `postgres_url` copies for each test. Nobody may stay connected to it."""
    make_ledger(postgres_server.create_database("perdure_template"))
    return "perdure_template"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL ledger."""
    name = f"test_{next(database_numbers)}"
    yield postgres_server.create_database(name, template=postgres_template)
    postgres_server.drop_database(name)


@pytest.fixture
def bare_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL database without tables."""
    name = f"test_{next(database_numbers)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def bare_sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture(scope="session")
def sqlite_template(server_dir: Path) -> Path:
    """An empty SQLite ledger that `sqlite_url` copies for each test."""
    path = server_dir / "template.sqlite3"
    make_ledger(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """SQLAlchemy URL of an empty SQLite ledger."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'ledger.sqlite3')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of an empty ledger; a test that takes it runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of a database without a ledger; a test that takes it runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue({"sqlite": "bare_sqlite_url", "postgresql": "bare_postgres_url"}[request.param])
    return url
