"""``perdure chaos run --running`` asks first: a platform that does not allow it, or cannot be judged, is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.errors import FaultsNotAllowed, PerdureError
from perdure_workers.chaos.cluster import LabFailed
from perdure_workers.chaos.jobs import register
from perdure_workers.chaos.running import Running

Make = Callable[..., Perdure]


@pytest.fixture
def make(sqlite_url: str, redis_url: str, tmp_path: Path, clean_environment: None) -> Iterator[Make]:
    apps = []

    def made(**settings: Any) -> Perdure:
        apps.append(Perdure(ledger_url=sqlite_url, broker_url=redis_url, home=tmp_path / "home", **settings))
        return apps[-1]

    yield made
    for app in apps:
        app.close()


def with_tasks(app: Perdure) -> Perdure:
    register(app)
    return app


@pytest.mark.parametrize(
    ("application", "error", "told"),
    [
        (lambda make: with_tasks(make()), FaultsNotAllowed, "PERDURE_FAULTS_ALLOWED=1"),
        (lambda make: make(faults_allowed=True), LabFailed, "register"),
        (
            lambda make: with_tasks(make(faults_allowed=True)),
            LabFailed,
            "nobody here serves critical and normal",
        ),
    ],
    ids=["not allowed", "no tasks", "nobody serves"],
)
def test_who_does_not_allow_it_is_left_alone(
    make: Make, tmp_path: Path, application: Callable[[Make], Perdure], error: type[PerdureError], told: str
) -> None:
    app = application(make)
    with pytest.raises(error, match=told), Running(app, tmp_path / "report"):
        pass
    assert app.jobs.count() == {}
    assert not (tmp_path / "home" / "chaos").exists()
