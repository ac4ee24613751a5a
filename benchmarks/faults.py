"""What the places cost at which faults can be injected, where none is allowed: their share of Python's instructions.

    python -m benchmarks faults

Instructions are counted and not timed: they are the same on each machine, whatever else runs on it. C code, the database
and Redis come on top of the whole, so the share of time is smaller.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from perdure import JobContext, Perdure
from perdure.ledger.jobs.claim import Claimer
from perdure.model.faults.places import At, faulty
from perdure_workers.embedded.redis import RedisServer
from perdure_workers.worker.execute import Executor

#: Instructions of a place's caller, at most: it puts the arguments there and calls.
CALLERS = 15
#: What a place consists of besides.
PLACE = {faulty.__code__, At.__new__.__code__}


@dataclass(slots=True)
class Counted:
    """Python's instructions of some work: all, those inside of places, and the places that it passed."""

    all: int = 0
    inside: int = 0
    places: int = 0

    @property
    def theirs(self) -> int:
        """Those that there would not be without places, at most."""
        return self.inside + self.places * CALLERS


def main() -> None:
    """Count and print a table."""
    logging.disable(logging.ERROR)
    table = Table("", "instructions", "places", "theirs", "share", title="Python's instructions, no fault allowed")
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name, RedisServer(Path(name) / "redis") as redis:
        app = Perdure(ledger_url=f"sqlite:///{name}/ledger.db", broker_url=redis.url, home=Path(name) / "home")
        app.ledger.upgrade()
        for what, work in works(app).items():
            for _ in range(3):  # what is made on first use is made
                work()
            found = counted(work)
            row = (found.all, found.places, found.theirs, f"{found.theirs / found.all:.2%}")
            table.add_row(what, *map(str, row))
        app.close()
    Console().print(table)


def works(app: Perdure) -> dict[str, Callable[[], object]]:
    """Return what is counted, by its name."""

    @app.job(name="bench.nothing")
    def nothing() -> None: ...

    @app.job(name="bench.steps")
    def steps(ctx: JobContext) -> None:
        ctx.step("one", int)
        ctx.checkpoint.save(1)

    service, by = app.service("bench"), Claimer("normal", "w", "w", 1, tuple(app.tasks))
    executor = Executor(app, lambda: False, lambda _task: None)

    def job(task: Any) -> None:
        task.submit()
        [claim] = app.ledger.jobs.claim(by, 1)
        app.ledger.jobs.settle(claim, executor(claim, lambda _claim, _limit: None).settlement)

    return {
        "a call of a service": lambda: service.call(int),
        "a bell": lambda: app.bells.ring("critical"),
        "a job: submit, claim, run, settle": lambda: job(nothing),
        "the same with a step and a checkpoint": lambda: job(steps),
    }


def counted(work: Callable[[], object]) -> Counted:
    """Return the instructions that work takes in this thread."""
    found = Counted()

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        is_place = frame.f_code in PLACE
        found.all += event == "opcode"
        found.inside += is_place and event == "opcode"
        found.places += is_place and event == "call"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return found
