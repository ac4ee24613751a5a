"""How soon things begin: a process that submits, and a job whose only worker was killed under ``perdure up``.

    python -m benchmarks start [--quick]

From the start of ``perdure worker`` to its first job: see ``compare``.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.environments import PEERS, inherited
from benchmarks.peers.effects import RECORD_BYTES
from benchmarks.processes import running
from benchmarks.report import Report, Table, Target, spread
from benchmarks.trial import Lost
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.up.backoff import HEALTHY_AFTER_SECONDS

#: What a new process does, on a ledger that is there and a Redis that answers.
PERDURE = """
import perdure
app = perdure.Perdure()
"""
SUBMIT = """
@app.job(name="work")
def work(number: int) -> None: ...
work.submit(1)
"""
CELERY = """
import celery, celery.app.task, os
app = celery.Celery("work", broker=os.environ["PERDURE_BROKER_URL"])
"""
APPLY = """
@app.task(name="work", ignore_result=True)
def work(number): ...
work.apply_async((1,))
"""
SUBMITS = "perdure, Perdure(), first submit"
BEGINNINGS = {
    "perdure": "import perdure",
    "perdure, Perdure()": PERDURE,
    SUBMITS: PERDURE + SUBMIT,
    "Celery, Celery()": CELERY,
    "Celery, Celery(), first apply_async": CELERY + APPLY,
}
TIMED = """
import time
began = time.perf_counter()
{}
print(time.perf_counter() - began)
"""
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.005
#: Seconds that the job holds its child: longer than any recovery.
HOLD_SECONDS = 120.0


@dataclass(frozen=True)
class Plan:
    """How often each is measured."""

    imports: int = 15
    kills: int = 6


QUICK = Plan(imports=3, kills=2)


def measure_report(*, quick: bool = False) -> Report:
    """Measure both and return the report."""
    plan = QUICK if quick else Plan()
    report = Report("start", "Start and restart")
    imports = Table("seconds that a new process takes from its first import, files cached", ["", "s"])
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name:
        folder = Path(name)
        for title, took in beginnings(folder, plan.imports).items():
            imports.rows.append([title, spread(took)])
            report.data[f"import, {title}"] = took
        kills = again_after_kills(folder, plan.kills)
    report.data["killed under up"] = kills
    rows = [["SQLite", spread(kills), str(len(kills))]]
    report.tables = [
        imports,
        Table("seconds from the kill of the only worker, under `perdure up`", ["", "s", "times"], rows),
    ]
    report.targets = [
        Target(
            "import perdure, and a first submit",
            statistics.median(report.data[f"import, {SUBMITS}"]) * 1000,
            250,
            "ms",
            at_least=False,
        ),
        Target("killed under perdure up, job runs again", statistics.median(kills), 1.5, "s", at_least=False),
    ]
    return report


def beginnings(folder: Path, times: int) -> dict[str, list[float]]:
    """Return the seconds that each beginning takes, side by side, after once that does not count."""
    took: dict[str, list[float]] = {title: [] for title in BEGINNINGS}
    with RedisServer(folder / "redis", die_with_parent=True) as redis:
        values = {**inherited(), "PERDURE_BROKER_URL": redis.url, "PERDURE_HOME": str(folder / "begins")}
        for _ in range(times + 1):
            for title, statement in BEGINNINGS.items():
                took[title].append(begun(statement, folder, values))
    return {title: of_each[1:] for title, of_each in took.items()}


def begun(statement: str, folder: Path, values: dict[str, str]) -> float:
    """Return the seconds that a statement takes in a new process."""
    done = subprocess.run(
        [environments.environment(None) / "python", "-c", TIMED.format(statement)],
        cwd=folder,
        env=values,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def again_after_kills(folder: Path, times: int) -> list[float]:
    """Kill the only worker of a bulkhead while it runs a job; return the seconds until it runs again, of each time."""
    took = []
    with up(folder) as (command, environment, effects):
        for number in range(times):
            job = answered(
                [*command, "submit", "bench.hold", "--args", json.dumps([number, HOLD_SECONDS])], environment, folder
            )
            await_runs(effects, number, 1)
            time.sleep(HEALTHY_AFTER_SECONDS)  # one that dies sooner is started later each time
            worker = next(p for p in status(command, environment, folder)["processes"] if p.get("bulkhead") == "normal")
            began = time.monotonic()
            os.kill(worker["pid"], signal.SIGKILL)
            await_runs(effects, number, 2)
            took.append(time.monotonic() - began)
            answered([*command, "jobs", "cancel", job.split()[0]], environment, folder)
    return took


@contextmanager
def up(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Path]]:
    """Run ``perdure up`` until the end of the block; yield the command, its environment, and the jobs' file."""
    effects = folder / "effects.log"
    effects.touch()
    command = [str(environments.environment(None) / "perdure")]
    environment = {
        "PYTHONPATH": str(PEERS),
        "PERDURE_HOME": str(folder / "home"),
        "PERDURE_APP": "perdure_peer",
        "BENCH_EFFECTS": str(effects),
    }
    with running([[*command, "up", "--no-flower"]], environment, folder / "output.log"):
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while not ready(command, environment, folder):
            if time.monotonic() > give_up_at:
                raise Lost("perdure up is not ready")
            time.sleep(POLL_SECONDS)
        yield command, environment, effects


def ready(command: list[str], environment: dict[str, str], folder: Path) -> bool:
    """Tell whether the worker of the bulkhead runs."""
    try:
        processes = status(command, environment, folder)["processes"]
    except (subprocess.CalledProcessError, ValueError, KeyError):
        return False
    return any(p.get("bulkhead") == "normal" and p.get("children") for p in processes)


def status(command: list[str], environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """Return what ``perdure status`` says."""
    found: dict[str, Any] = json.loads(answered([*command, "status", "--json"], environment, folder))
    return found


def answered(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited(), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    return done.stdout


def await_runs(effects: Path, number: int, times: int) -> None:
    """Wait until a job has started so many times."""
    give_up_at = time.monotonic() + TIMEOUT_SECONDS
    while (
        sum(int(line[:10]) == number for line in effects.read_bytes().split(b"\n") if len(line) + 1 == RECORD_BYTES) < times
    ):
        if time.monotonic() > give_up_at:
            raise Lost(f"job {number} did not run {times} times")
        time.sleep(POLL_SECONDS)
