"""A worker process on any ledger and broker, with one job that adds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure import Perdure, Task
from support.cluster import PERDURE

MODULE = """
from perdure import Perdure

app = Perdure()

@app.job(name="add")
def add(a: int, b: int) -> int:
    return a + b
"""


@contextmanager
def adding_worker(
    ledger_url: str, broker_url: str, folder: Path, *, faults_allowed: bool = False
) -> Iterator[Task[[int, int], int]]:
    """Run a worker and yield its task; its log is ``worker.log`` in the folder."""
    app = Perdure(ledger_url=ledger_url, broker_url=broker_url, home=folder / "home")

    @app.job(name="add")
    def add(a: int, b: int) -> int: ...  # type: ignore[empty-body]

    try:
        with running_worker(app, MODULE, broker_url, folder, PERDURE_FAULTS_ALLOWED=str(int(faults_allowed))):
            yield add
    finally:
        app.close()


@contextmanager
def running_worker(
    app: Perdure, module: str, broker_url: str, folder: Path, children: int = 1, **variables: str
) -> Iterator[None]:
    """Run a worker of the bulkhead ``normal`` on an application's ledger; a module's text makes the worker's own."""
    (folder / "shop_of_one.py").write_text(module)
    app.ledger.upgrade()
    urls = {
        "PERDURE_LEDGER_URL": app.settings.effective_ledger_url,
        "PERDURE_BROKER_URL": broker_url,
        "PERDURE_HOME": str(folder / "home"),
    }
    command = [str(PERDURE), "worker", "normal", "-c", str(children), "-A", "shop_of_one:app"]
    environment = {**os.environ, **urls, **variables}
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=folder, env=environment, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)
