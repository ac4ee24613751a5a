"""Fixtures of the chaos tests: one platform of real processes for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure_workers.embedded.redis import RedisServer
from support.cluster import Cluster
from support.thorough import IS_THOROUGH

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``ledger_url`` on SQLite alone, unless what is tried is the database's part of the matter.

    Each statement is tried on both in ``tests/integration/``, and a worker does not know which it has.
    """
    is_given = any("ledger_url" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "ledger_url" in metafunc.fixturenames and not is_given:
        is_for_both = IS_THOROUGH or metafunc.definition.get_closest_marker("both_ledgers")
        metafunc.parametrize("ledger_url", ["sqlite", "postgresql"] if is_for_both else ["sqlite"], indirect=True)


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of an empty ledger."""
    url: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return url


@pytest.fixture(autouse=True)
def _jobs_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def make_cluster(tmp_path: Path, _jobs_on_path: None) -> Iterator[object]:
    """A function that makes a platform with given settings."""
    from chaos_jobs import build

    made: list[Cluster] = []

    def make(ledger_url: str, broker_url: str, **settings: str) -> Cluster:
        made.append(Cluster(build, "chaos_app", HERE, tmp_path, ledger_url, broker_url, settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def make_guarded(tmp_path: Path, _jobs_on_path: None) -> Iterator[object]:
    """As ``make_cluster``, with the jobs that have breakers, limits and replicas."""
    from guarded_jobs import build

    made: list[Cluster] = []

    def make(ledger_url: str, broker_url: str, **settings: str) -> Cluster:
        made.append(Cluster(build, "guarded_jobs", HERE, tmp_path, ledger_url, broker_url, settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def make_sliced(tmp_path: Path, _jobs_on_path: None) -> Iterator[object]:
    """As ``make_cluster``, with the jobs that bring down who runs them."""
    from slice_jobs import build

    made: list[Cluster] = []

    def make(ledger_url: str, broker_url: str, **settings: str) -> Cluster:
        made.append(Cluster(build, "slice_jobs", HERE, tmp_path, ledger_url, broker_url, settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def cluster(make_cluster: Any, ledger_url: str, redis_url: str) -> Cluster:
    """A platform with default settings."""
    return make_cluster(ledger_url, redis_url)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test may kill."""
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        yield server
