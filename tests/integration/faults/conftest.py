"""An application that allows faults, on SQLite and a real Redis."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure import Perdure


@pytest.fixture
def app(migrated_sqlite: Path, redis_url: str, tmp_path: Path, clean_environment: None) -> Iterator[Perdure]:
    file = shutil.copy(migrated_sqlite, tmp_path / "ledger.sqlite3")
    services = {"mail": {"retry": "none"}, "slow": {"retry": "none", "timeout": 0.05}}
    app = Perdure(
        ledger_url=f"sqlite:///{file}",
        broker_url=redis_url,
        home=tmp_path / "home",
        resilience={"services": services},
        faults_allowed=True,
    )
    yield app
    app.close()
