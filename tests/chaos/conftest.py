"""Fixtures of the chaos tests: one platform of real processes for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure_workers.embedded.redis import RedisServer
from support.cluster import Cluster

HERE = Path(__file__).parent


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
    """A platform with default settings, on SQLite and on PostgreSQL."""
    return make_cluster(ledger_url, redis_url)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that this test may kill."""
    with RedisServer(tmp_path / "redis", die_with_parent=True) as server:
        yield server
