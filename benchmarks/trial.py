"""One system under measurement: its driver, its workers, and the file that its jobs write to."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.environments import PEERS
from benchmarks.peers.effects import RECORD_BYTES
from benchmarks.processes import Tree, running
from benchmarks.servers import Servers
from benchmarks.systems import CHILDREN, System

POLL_SECONDS = 0.002
#: Of a drain, the part before the rate and the CPU are taken: the workers' start is a figure of its own.
RUN_IN = 0.1
#: Between two jobs that are submitted one at a time, about.
PAUSE_SECONDS = 0.04
#: Jobs that a process submits before its submits are measured.
WARM = 20
DRAIN_TIMEOUT_SECONDS = 180.0


class Lost(Exception):
    """Jobs did not run in time, or a process that should run does not."""


@dataclass(frozen=True)
class Drain:
    """How a number of jobs went.

    Attributes:
        rate: jobs a second, from the tenth part on.
        cpu: CPU seconds for 1,000 jobs over all processes, broker and database included, from the tenth part on.
        first: seconds until the first job's effect.
        whole: jobs a second from the beginning to the last effect.
    """

    rate: float
    cpu: float
    first: float
    whole: float


@dataclass
class Subject:
    """A system with its own databases, whose jobs are numbered through.

    Attributes:
        system: which.
        servers: where its databases are.
        bulk: whether it can submit in bulk; known once its driver was prepared.
        environment: of all its processes.
    """

    system: System
    servers: Servers
    bulk: bool = False
    _next: int = 0

    def __post_init__(self) -> None:
        self._bin = self.commands_folder = environments.environment(self.system.requirements)
        self.environment = self.system.environment(self.servers)
        self.effects = Path(self.environment["BENCH_EFFECTS"])
        self.effects.touch()
        self._log = self.effects.with_name("output.log")

    @contextmanager
    def driving(self) -> Iterator[Driver]:
        """Run the process that submits."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [str(self._bin / "python"), str(PEERS / "driver.py"), self.system.peer],
                cwd=self.effects.parent,
                env={**environments.inherited(), **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            driver = Driver(self, process)
            self.bulk = driver.ask("prepare")["bulk"]
            yield driver
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def working(self, processes: int = 1, children: int = CHILDREN) -> Iterator[Tree]:
        """Run the workers."""
        commands = self.system.commands(self._bin, processes, children)
        with running(commands, self.environment, self._log) as tree:
            yield tree

    def take(self, count: int) -> int:
        """Return the first of so many new numbers."""
        self._next += count
        return self._next - count

    def done(self) -> int:
        """Return how many jobs have had their effect since the beginning."""
        return self.effects.stat().st_size // RECORD_BYTES

    def await_done(self, number: int, began: float, tree: Tree) -> Drain:
        """Wait until so many jobs have had their effect, and tell how it went.

        Args:
            number: jobs since the beginning of all.
            began: moment from which the first effect is counted, by ``time.monotonic()``.
            tree: the workers.

        Raises:
            Lost: they did not within the time.
        """
        before = self.done()
        count = number - before
        first = self._until(before + 1, began)
        run_in = before + max(1, int(count * RUN_IN))
        self._until(run_in, began)
        at, cpu = self.done(), self._cpu(tree)
        started = time.monotonic()
        ended = self._until(number, began)
        rest = max(1, number - at)
        used = self._cpu(tree) - cpu
        return Drain(rest / max(ended - started, 1e-6), used / rest * 1000, first - began, count / (ended - began))

    def said(self) -> str:
        """Return what its processes have said last, below a line."""
        return "Its processes say:\n" + "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def await_some(self, count: int) -> None:
        """Wait until so many more jobs have had their effect."""
        self._until(self.done() + count, time.monotonic())

    def _cpu(self, tree: Tree) -> float:
        return tree.cpu() + self.servers.tree().cpu()

    def _until(self, number: int, began: float) -> float:
        while self.done() < number:
            if time.monotonic() > began + DRAIN_TIMEOUT_SECONDS:
                raise Lost(f"{self.system.name}: {self.done()} of {number} jobs ran. {self.said()}")
            time.sleep(POLL_SECONDS)
        return time.monotonic()

    def check(self) -> int:
        """Return how many jobs ran more than once.

        Raises:
            Lost: one did not run.
        """
        lines = self.effects.read_bytes().split(b"\n")[:-1]
        ran = {int(line[:10]) for line in lines}
        if len(ran) != self._next:
            raise Lost(f"{self.system.name}: {self._next - len(ran)} of {self._next} jobs did not run")
        return len(lines) - len(ran)


class Driver:
    """The process that submits a system's jobs, in that system's environment."""

    def __init__(self, subject: Subject, process: subprocess.Popen[str]) -> None:
        self._subject = subject
        self._process = process

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a request and return the answer."""
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: Any) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer to the last request."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise Lost(f"The process that submits to {self._subject.system.name} has ended. {self._subject.said()}")
        return json.loads(line)

    def warm(self) -> None:
        """Submit some jobs that do not count: the first ones make connections, and load what is loaded when it is used."""
        self.one(WARM)

    def one(self, count: int, seconds: float = 0.0) -> float:
        """Submit one by one; return jobs a second."""
        took: float = self.ask("one", first=self._subject.take(count), count=count, seconds=seconds)
        return count / took

    def many(self, count: int, seconds: float = 0.0) -> float:
        """Submit in bulk, or one by one where there is no bulk; return jobs a second."""
        self.begin(count, seconds)
        took: float = self.answer()
        return count / took

    def begin(self, count: int, seconds: float = 0.0) -> None:
        """Begin to submit like ``many``; ``answer()`` waits for the end."""
        self.tell("many" if self._subject.bulk else "one", first=self._subject.take(count), count=count, seconds=seconds)

    def latency(self, count: int, budget: float, pause: float = PAUSE_SECONDS) -> list[float]:
        """Submit one job at a time; return the milliseconds from each submit to the start, for as many as ran."""
        first = self._subject.take(0)
        took: list[float] = self.ask("latency", first=first, count=count, budget=budget, pause=pause)
        self._subject.take(len(took))
        return took


def quantiles(values: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    if len(values) < 2:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return statistics.median(values), cuts[98]
