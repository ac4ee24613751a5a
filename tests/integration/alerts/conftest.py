"""An application on a real ledger whose alerts a test looks for by hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from perdure import Perdure
from perdure.ledger.alerts import objectives
from perdure.model.ids import new_id


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended counts at once: nobody else writes."""
    monkeypatch.setattr(objectives, "SETTLED", 0.0)


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., str]:
    """A function that writes a worker's row, as a worker does that starts, and returns its id."""

    app: Perdure = request.getfixturevalue("sqlite_app" if "sqlite_app" in request.fixturenames else "app")

    def write(bulkhead: str = "normal", **values: Any) -> str:
        worker_id = new_id()
        row: dict[str, Any] = {"id": worker_id, "name": f"{bulkhead}@t", "bulkhead": bulkhead, "host": socket.gethostname()}
        row |= {"pid": os.getpid(), "concurrency": 2, "lease_ttl": 60.0, "lock_path": None}
        app.ledger.workers.register({**row, **values})
        return worker_id

    return write
