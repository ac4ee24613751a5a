"""Each example as a reader runs it: its own workers in a copy of its folder, its own script, on one Redis for all.

`shop` is run by ``tests/chaos/test_services.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from perdure.system.ports import free_port
from support.cluster import PATIENCE, PERDURE
from support.waiting import wait_until

pytestmark = pytest.mark.chaos  # real processes, and a real kill in one

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PYTHON = sys.executable
#: What ``-A`` names, and the bulkheads that the example's jobs are in.
SERVED = {
    "orders": ("orders", "critical"),
    "nightly_import": ("importing", "background"),
    "documents": ("documents", "normal", "background"),
    "fastapi_app": ("jobs", "critical"),
    "django_app": ("worker", "critical"),
    "adopted": ("tasks", "normal"),
}


class Example:
    """A copy of an example's folder, and the processes that were started there."""

    def __init__(self, name: str, folder: Path, redis_url: str) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder, ignore=shutil.ignore_patterns("__pycache__", ".perdure"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "DJANGO_"))}
        home = {"PERDURE_HOME": str(self.folder / ".perdure"), "PERDURE_BROKER_URL": redis_url, "CELERY_URL": redis_url}
        self.environment = kept | home
        self._started = ExitStack()

    def start(self, *command: str | Path) -> None:
        """Start a program that serves until the test ends."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        self._started.callback(process.wait, PATIENCE)
        self._started.callback(process.terminate)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-5000:]

    def tried(self, *arguments: str) -> str:
        """Run the example's script and return the last line that it prints."""
        command = [PYTHON, "try_it.py", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout.splitlines()[-1]

    def close(self) -> None:
        self._started.close()


@contextmanager
def running(name: str, folder: Path, redis_url: str) -> Iterator[Example]:
    """An example with its workers; jobs wait for them, so that nobody else has to."""
    example = Example(name, folder, redis_url)
    module, *bulkheads = SERVED[name]
    try:
        for bulkhead in bulkheads:
            example.start(PERDURE, "worker", bulkhead, "-c", "2", "-A", module)
        yield example
    finally:
        example.close()


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("orders", "10 charges, one of them refunded"),
        ("documents", "240 words on 40 pages"),
        ("django_app", "one job for two clicks, and the order is paid"),
    ],
)
def test_what_an_example_promises(name: str, last: str, tmp_path: Path, redis_url: str) -> None:
    with running(name, tmp_path, redis_url) as example:
        assert example.tried() == last


def test_an_import_whose_worker_is_killed_has_each_row_once(tmp_path: Path, redis_url: str) -> None:
    with running("nightly_import", tmp_path, redis_url) as example:
        assert example.tried().startswith("19980 orders, each once; 20 lines rejected;")


def test_an_api_takes_a_double_click_for_one(tmp_path: Path, redis_url: str) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running("fastapi_app", tmp_path, redis_url) as example:
        example.start(PYTHON, "-m", "uvicorn", "api:api", "--port", str(port), "--log-level", "warning")
        wait_until(lambda: answers(url), PATIENCE, message=example.log)
        assert example.tried(url) == "one job for two clicks, and it succeeded"


def test_a_celery_project_goes_on_beside_its_adopted_task(tmp_path: Path, redis_url: str) -> None:
    with running("adopted", tmp_path, redis_url) as example:
        example.start(
            PYTHON, "-m", "celery", "-A", "before", "worker", "--pool", "solo", "--without-gossip", "--without-mingle"
        )
        assert example.tried() == "two orders charged by perdure, two pictures made by Celery"


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json", trust_env=False).is_success
    except httpx.TransportError:
        return False
