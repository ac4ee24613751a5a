"""Flower in a process of its own, and what its API says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from perdure.system.ports import free_port
from support.waiting import wait_until

PATIENCE = 60.0


@dataclass(frozen=True)
class FlowerProcess:
    """A Flower that answers.

    Args:
        url: Its address, without a slash at the end.
        auth: User and password.
        log: What it prints.
        process: It.
    """

    url: str
    auth: tuple[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", auth=options.pop("auth", self.auth), timeout=30, verify=False, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", auth=options.pop("auth", self.auth), timeout=30, verify=False, **options)

    def task(self, job_id: str) -> dict[str, Any]:
        """Return what Flower knows of a job; empty when it knows nothing."""
        answer = self.get(f"/api/task/info/{job_id}")
        return {} if answer.status_code == 404 else dict(answer.raise_for_status().json())

    def await_state(self, job_id: str, state: str) -> dict[str, Any]:
        """Wait until Flower shows a job in a state and return what it shows."""
        wait_until(
            lambda: self.task(job_id).get("state") == state, PATIENCE, message=lambda: f"{state}: {self.task(job_id)}"
        )
        return self.task(job_id)


@contextmanager
def flower_process(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], auth: tuple[str, str], prefix: str = ""
) -> Iterator[FlowerProcess]:
    """Start Flower by a command that takes ``--port`` and wait until it answers."""
    port = free_port()
    log = folder / f"flower-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, f"--port={port}"], cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    started = FlowerProcess(f"http://127.0.0.1:{port}{prefix}", auth, log, process)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return started.get("/api/tasks").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, PATIENCE, message=log.read_text)
        yield started
    finally:
        process.terminate()
        process.wait(30)
