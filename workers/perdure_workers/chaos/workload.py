"""The workload: jobs of all kinds at a steady pace, each submit and its answer written down."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from perdure import Perdure
from perdure.errors import PerdureError
from perdure_workers.chaos import evidence
from perdure_workers.chaos.history import Submission
from perdure_workers.chaos.jobs import CALM, digest

#: Steps of a long job, and seconds that one takes.
STEPS, PAUSE_S = 8, 0.1
#: Steps of one that outlasts a lease.
LONG_STEPS = 80
#: Rows of a job that writes in transactions.
ROWS = 4
#: Jobs that are submitted by one call when there are many.
BATCH = 100


class Call(msgspec.Struct, frozen=True):
    """A job to be submitted: the arguments that follow its key, and what is expected of it."""

    args: tuple[Any, ...] = ()
    ends: tuple[str, ...] = ("succeeded",)
    failures: int = 0
    digest: str | None = None


def _quick(rng: random.Random) -> Call:
    payload = {"text": "äß€" * rng.randrange(4), "number": rng.random(), "list": [None, True, rng.randrange(10**12)]}
    return Call((payload,), digest=digest(payload))


def _flaky(rng: random.Random) -> Call:
    failures = rng.randint(1, 3)
    return Call((failures,), failures=failures)


#: How each task is called.
CALLS: dict[str, Callable[[random.Random], Call]] = {
    "chaos.quick": _quick,
    CALM: lambda rng: Call(),
    "chaos.nap": lambda rng: Call((round(rng.uniform(0.01, 0.1), 3),)),
    "chaos.march": lambda rng: Call((STEPS, PAUSE_S)),
    "chaos.long": lambda rng: Call((LONG_STEPS, PAUSE_S)),
    "chaos.flaky": _flaky,
    "chaos.pay": lambda rng: Call((ROWS,)),
    "chaos.poison": lambda rng: Call(ends=("dead",)),
    "chaos.doomed": lambda rng: Call(ends=("dead",)),
    "chaos.guarded": lambda rng: Call(),
}
#: What a steady load is made of.
MIX = {"chaos.quick": 42, "chaos.nap": 15, "chaos.flaky": 10, "chaos.pay": 10, "chaos.march": 14, "chaos.guarded": 6,
       "chaos.doomed": 3}  # fmt: skip


class Workload:
    """Submits jobs from threads of its own, as a web application does, until it is stopped.

    Args:
        app: The application, as clients of the platform see it.
        folder: Where what was submitted is written down.
        rate: Jobs a second; a sixth as many go to the calm bulkhead besides.
        rng: Which ones.
        prefix: Begins their keys.
    """

    def __init__(self, app: Perdure, folder: Path, rate: float, rng: random.Random, prefix: str = "") -> None:
        self._app, self._folder, self._rng, self._prefix = app, folder, rng, prefix
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._count = 0
        self.accepted = 0
        self.unknown = 0
        rng_calm = random.Random(rng.random())  # noqa: S311 - a workload, no secret
        self._threads = [
            threading.Thread(target=self._run, args=(rate, MIX, random.Random(rng.random())), daemon=True),  # noqa: S311
            threading.Thread(target=self._run, args=(rate / 6, {CALM: 1}, rng_calm), daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Submit no more, and wait up to ``timeout`` seconds for the calls that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout)

    def submit(self, task: str, count: int = 1) -> None:
        """Submit jobs at once, beside the steady load."""
        for start in range(0, count, BATCH):
            self._submit(task, [CALLS[task](self._rng) for _ in range(min(BATCH, count - start))])

    def _run(self, rate: float, mix: dict[str, int], rng: random.Random) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            [task] = rng.choices(list(mix), list(mix.values()))
            self._submit(task, [CALLS[task](rng)])
            due = max(due + rng.expovariate(rate), time.monotonic())  # what could not be submitted is not made up for

    def _submit(self, task: str, calls: list[Call]) -> None:
        keys = self._keys(task, len(calls))
        jobs: Iterable[str | None]
        error = None
        try:
            handles = self._app.task(task).submit_many((key, *call.args) for key, call in zip(keys, calls, strict=True))
        except PerdureError as raised:
            jobs, error = [None] * len(calls), f"{type(raised).__name__}: {raised}"
        else:
            jobs = [handle.id for handle in handles]
        at = time.monotonic()
        for key, call, job in zip(keys, calls, jobs, strict=True):
            answer = "accepted" if job else "unknown"
            line = Submission(
                key=key, task=task, at=at, answer=answer, job=job, ends=call.ends, failures=call.failures,  # type: ignore[arg-type]
                digest=call.digest, error=error,
            )  # fmt: skip
            evidence.append(self._folder / evidence.SUBMISSIONS, line)
        with self._lock:
            self.accepted += 0 if error else len(calls)
            self.unknown += len(calls) if error else 0

    def _keys(self, task: str, count: int) -> list[str]:
        with self._lock:
            first, self._count = self._count, self._count + count
        return [f"{self._prefix}{task.removeprefix('chaos.')}-{first + number}" for number in range(count)]
