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
    (folder / "adding_shop.py").write_text(MODULE)
    app = Perdure(ledger_url=ledger_url, broker_url=broker_url, home=folder / "home")

    @app.job(name="add")
    def add(a: int, b: int) -> int: ...  # type: ignore[empty-body]

    app.ledger.upgrade()
    urls = {"PERDURE_LEDGER_URL": ledger_url, "PERDURE_BROKER_URL": broker_url, "PERDURE_HOME": str(folder / "home")}
    urls["PERDURE_FAULTS_ALLOWED"] = str(int(faults_allowed))
    command = [str(PERDURE), "worker", "normal", "-c", "1", "-A", "adding_shop:app"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=folder, env={**os.environ, **urls}, stderr=log, start_new_session=True)
    try:
        yield add
    finally:
        worker.terminate()
        worker.wait(30)
        app.close()
