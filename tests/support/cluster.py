"""A platform of real processes for one test: workers and supervisors that can be killed, stopped and watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Row, select

from perdure import JobHandle, Perdure
from perdure.ledger.schema import attempts as attempt_rows
from perdure.ledger.schema import jobs as job_rows
from support.processes import alive
from support.waiting import wait_until

PERDURE = Path(sys.executable).parent / "perdure"
#: Seconds for what is awaited in a test; far more than it takes, since machines may be slow.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Effect:
    """A line that a job wrote: what, in which attempt and under which fence, by which process, when (monotonic, s)."""

    what: str
    attempt: int
    fence: int
    pid: int
    at: float


@dataclass
class Running:
    """A process of the platform."""

    process: subprocess.Popen[bytes]
    name: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid).children()]

    def kill(self) -> None:
        """End it as the OOM killer does."""
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop_whole(self) -> None:
        """Freeze the process and its children, as a machine that hangs does."""
        for pid in [*self.children(), self.pid]:
            os.kill(pid, signal.SIGSTOP)

    def continue_whole(self) -> None:
        for pid in [*self.children(), self.pid]:
            os.kill(pid, signal.SIGCONT)

    def exit_code(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    def logged(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Cluster:
    """Workers of one test.

    Args:
        build: Makes the application for this process.
        module: What ``-A`` names.
        cwd: Where that module is.
        folder: Where the jobs' effects, the logs and the home folder go.
        settings: Settings of the application, as text for the environment.
    """

    build: Callable[..., Perdure]
    module: str
    cwd: Path
    folder: Path
    ledger_url: str
    broker_url: str
    settings: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        named = {name.removeprefix("PERDURE_").lower(): value for name, value in self.environment().items()}
        self.app = self.build(**named)
        self.app.ledger.upgrade()

    def environment(self, **settings: str) -> dict[str, str]:
        own = {"LEDGER_URL": self.ledger_url, "BROKER_URL": self.broker_url, "HOME": str(self.folder / "home")}
        return {f"PERDURE_{name.upper()}": value for name, value in (own | self.settings | settings).items()}

    def process_environment(self, **settings: str) -> dict[str, str]:
        return {**os.environ, **self.environment(**settings), "CHAOS_FOLDER": str(self.folder)}

    def start(self, *arguments: str, name: str, module: str | None = None, **settings: str) -> Running:
        log = self.folder / f"{name}.log"
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [PERDURE, *arguments, "-A", module or self.module],
                cwd=self.cwd,
                env=self.process_environment(**settings),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.running.append(Running(process, name, log))
        return self.running[-1]

    def worker(self, name: str, bulkhead: str = "normal", concurrency: int = 2, **settings: str) -> Running:
        """Start a worker and wait until it serves."""
        started = self.start("worker", bulkhead, "-c", str(concurrency), "-n", name, name=name, **settings)
        self.await_ready(started)
        return started

    def workers(self, *names: str, **options: Any) -> list[Running]:
        """Start several workers side by side and wait until they serve."""
        concurrency = str(options.get("concurrency", 2))
        started = [self.start("worker", "normal", "-c", concurrency, "-n", name, name=name) for name in names]
        for worker in started:
            self.await_ready(worker)
        return started

    def supervisor(self, name: str = "supervisor", **settings: str) -> Running:
        """Start a supervisor that runs no jobs, and wait until it is at work."""
        started = self.start("supervisor", name=name, **settings)
        wait_until(lambda: "supervisor ready" in started.logged(), PATIENCE, message=started.logged)
        return started

    def await_ready(self, worker: Running) -> None:
        def ready() -> bool:
            assert worker.process.poll() is None, f"{worker.name} ended:\n{worker.logged()}"
            return any(record.pid == worker.pid for record in self.app.workers.list()) and " ready." in worker.logged()

        wait_until(ready, PATIENCE, interval=0.05, message=worker.logged)

    def worker_id(self, worker: Running) -> str:
        return next(record.id for record in self.app.workers.list(all_states=True) if record.pid == worker.pid)

    def submit(self, task: str, *args: Any, **options: Any) -> JobHandle[Any]:
        return self.app.task(task).options(**options).submit(*args)

    def effects(self, job: JobHandle[Any]) -> list[Effect]:
        return self.effects_of(job.id)

    def whats_of(self, job_id: str) -> list[str]:
        return [effect.what for effect in self.effects_of(job_id)]

    def effects_of(self, job_id: str) -> list[Effect]:
        file = self.folder / f"{job_id}.effects"
        lines = file.read_text().splitlines() if file.exists() else []
        return [Effect(what, int(a), int(f), int(p), float(t)) for what, a, f, p, t in map(str.split, lines)]

    def whats(self, job: JobHandle[Any]) -> list[str]:
        return [effect.what for effect in self.effects(job)]

    def await_effect(self, job: JobHandle[Any], what: str, count: int = 1, timeout: float = PATIENCE) -> Effect:
        """Wait until a job has written a line ``count`` times and return the last of them."""
        found = wait_until(
            lambda: [effect for effect in self.effects(job) if effect.what.startswith(what)][count - 1 :],
            timeout,
            message=lambda: f"{what!r} number {count} of {job}: {self.describe(job)}",
        )
        return found[0]

    def describe(self, job: JobHandle[Any]) -> str:
        logs = "\n".join(f"--- {running.name}\n{running.logged()[-3000:]}" for running in self.running)
        return f"{job.refresh().record}\n{job.attempts()}\n{self.effects(job)}\n{logs}"

    def open(self, gate: str) -> None:
        """Let jobs that wait at a gate go on."""
        (self.folder / f"{gate}.open").touch()

    def rows(self) -> dict[str, Row[Any]]:
        """Return the rows of all jobs by id, read at once: one job after another takes seconds for thousands."""
        query = select(*(job_rows.c[name] for name in ("id", "state", "attempt", "fence", "crashes", "finished_at")))
        return {row.id: row for row in self.app.ledger.read(lambda c: c.execute(query).all())}

    def all_outcomes(self) -> dict[str, list[str]]:
        """Return the outcomes of all jobs' attempts by the job's id, read at once."""
        query = select(attempt_rows.c.job_id, attempt_rows.c.outcome).order_by(attempt_rows.c.job_id, attempt_rows.c.number)
        outcomes: dict[str, list[str]] = {}
        for row in self.app.ledger.read(lambda c: c.execute(query).all()):
            outcomes.setdefault(row.job_id, []).append(row.outcome)
        return outcomes

    def outcomes(self, job: JobHandle[Any]) -> list[str]:
        return [attempt.outcome for attempt in job.attempts()]

    def close(self) -> None:
        for running in self.running:
            if running.process.poll() is None:
                running.continue_whole()
                running.signal(signal.SIGKILL)
        for running in self.running:
            running.process.wait(PATIENCE)
        self.app.close()


def overlaps(effects: list[Effect]) -> list[tuple[Effect, Effect]]:
    """Return pairs of attempts of one job that ran side by side: one began before another, which did end, had ended."""
    starts = {effect.fence: effect for effect in effects if effect.what.startswith("start")}
    ends = {effect.fence: effect for effect in effects if effect.what == "end"}
    return [
        (starts[fence], starts[other])
        for fence in ends
        for other in starts
        if other != fence and starts[fence].at < starts[other].at < ends[fence].at
    ]


__all__ = ["PATIENCE", "Cluster", "Effect", "Running", "alive", "overlaps"]
