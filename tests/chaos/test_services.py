"""Every service of docker-compose.yml runs here, on embedded servers, with the application that it runs by default."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from perdure import Perdure
from perdure.system.ports import free_port
from support.compose import ROOT, ServiceCommand, perdure_commands, start_locally
from support.waiting import wait_until

DEMO = ROOT / "examples/shop"
#: What is added to it.
MORE = """

from perdure import RetryPolicy


@app.job(name="shop.add", bulkhead="critical")
def add(a: int, b: int) -> int:
    return a + b


@app.job(name="shop.second_time", retry=RetryPolicy(max_retries=2, base=0.05))
def second_time(ctx: JobContext) -> int:
    if ctx.attempt < 2:
        raise ValueError("not yet")
    return ctx.attempt


@app.job(name="shop.never", bulkhead="background", retry="none")
def never() -> None:
    raise ValueError("never")
"""
SUBMIT = """
from shop import add, never, second_time
for job in (add.submit(2, 3), second_time.submit(), never.submit()):
    print(job.id)
"""
NAMED = {"PERDURE_APP": "shop", "PERDURE_APP_DIR": "shop", "PERDURE_SECRETS": "secrets"}
PASSWORD = "flower secret"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text((DEMO / "shop.py").read_text() + MORE)
    (tmp_path / "try_it.py").write_text((DEMO / "try_it.py").read_text())
    return tmp_path


@pytest.fixture
def services(shop: Path, postgres_url: str, redis_url: str) -> Iterator[tuple[dict[str, str], int]]:
    port = free_port()
    overrides = {"PERDURE_HOME": str(shop / "home")}
    (shop / "secrets").mkdir()
    for name, text in {"ledger_url": postgres_url, "broker_url": redis_url, "flower_password": PASSWORD}.items():
        (shop / "secrets" / name).write_text(text)
    commands = {command.service: command for command in perdure_commands(NAMED)}
    migrate = _start(commands.pop("migrate"), shop, overrides, port)
    assert migrate.wait(60) == 0, (shop / "migrate.log").read_text()
    running = {name: _start(command, shop, overrides, port) for name, command in commands.items()}
    try:
        app = Perdure(ledger_url=postgres_url, broker_url=redis_url)
        wait_until(lambda: len(app.workers.list()) == 3, timeout=60, message="three workers")
        wait_until(lambda: _flower_answers(port), timeout=60, message="Flower answers")
        assert all(process.poll() is None for process in running.values())
        yield overrides | {"PERDURE_LEDGER_URL": postgres_url, "PERDURE_BROKER_URL": redis_url}, port
    finally:
        for process in running.values():
            process.terminate()
        codes = {name: process.wait(60) for name, process in running.items()}
    assert set(codes.values()) == {0}, codes


@pytest.mark.timeout(240)
def test_the_services_run_jobs_of_another_process_and_flower_shows_them(
    shop: Path, services: tuple[dict[str, str], int]
) -> None:
    overrides, port = services
    for page in ("/", "/api/tasks"):
        assert httpx.get(f"http://127.0.0.1:{port}{page}").status_code == 401, "Flower let somebody in without a password"
    health = subprocess.run([_perdure(), "-A", "shop", "health"], cwd=shop, env=_environment(overrides), check=False)
    assert health.returncode == 0

    def said(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=shop, env=_environment(overrides), capture_output=True, text=True, check=True
        ).stdout

    assert said("try_it.py").splitlines() == [
        "4200 cents for o-1",
        "shop.charge ID: Discard: order o-2 has nothing to charge",
    ]
    added, retried, dead = said("-c", SUBMIT).split()
    expected = {added: "SUCCESS", retried: "SUCCESS", dead: "FAILURE"}
    wait_until(
        lambda: {job: task["state"] for job, task in _tasks(port).items() if job in expected} == expected,
        timeout=60,
        message="Flower shows how each job ended",
    )
    tasks = _tasks(port)
    assert (tasks[added]["name"], tasks[added]["args"], tasks[added]["result"]) == ("shop.add", "[2,3]", "5")
    assert tasks[retried]["retries"] == 1
    assert "ValueError('never')" in tasks[dead]["exception"]


def _start(command: ServiceCommand, shop: Path, overrides: dict[str, str], port: int) -> subprocess.Popen[bytes]:
    replace = {"0.0.0.0": "127.0.0.1", "5555": str(port)}
    log = shop / f"{command.service}.log"
    return start_locally(command, cwd=shop, secrets=shop / "secrets", overrides=overrides, log=log, replace=replace)


def _flower_answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 401
    except httpx.TransportError:
        return False


def _tasks(port: int) -> dict[str, Any]:
    answer = httpx.get(f"http://127.0.0.1:{port}/api/tasks", auth=("perdure", PASSWORD))
    return dict(answer.raise_for_status().json())


def _environment(overrides: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **overrides}


def _perdure() -> str:
    return str(Path(sys.executable).with_name("perdure"))
