"""Processes that are killed, frozen, drained and deployed anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psutil

from perdure_workers.chaos.clock import CLOCK
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.platforms import Target

T = TypeVar("T")


@contextmanager
def kill(bench: Bench, target: Target, count: int = 1) -> Iterator[str]:
    """End processes as the OOM killer does (SIGKILL)."""
    found = bench.platform.pids(target)
    hit = found if target == "everything" else _some(bench, found, count)
    for pid in hit:
        _signal(pid, signal.SIGKILL)
    yield f"{target} {_named(hit)}"


@contextmanager
def freeze(bench: Bench, target: Target, alone: bool = False) -> Iterator[str]:
    """Stop a process for a while (SIGSTOP, SIGCONT): with its children as a machine that hangs does, or alone."""
    family: list[int] = []
    with suppress(psutil.NoSuchProcess):
        for pid in _some(bench, bench.platform.pids(target), 1):
            family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True) if not alone)]
    for each in family:
        _signal(each, signal.SIGSTOP)
    try:
        yield f"{target} {_named(family[:1])}"
    finally:
        for each in family:
            _signal(each, signal.SIGCONT)


@contextmanager
def drain(bench: Bench) -> Iterator[str]:
    """Have one worker end in order and start again."""
    hit = _some(bench, bench.cluster.workers(), 1)
    for worker in hit:
        worker.restart()
    yield f"worker {', '.join(worker.spec.name for worker in hit)}"


@contextmanager
def rolling_deploy(bench: Bench) -> Iterator[str]:
    """Restart all processes in order, as a deploy does."""
    for child in bench.cluster.children.values():
        child.restart()
    yield ", ".join(bench.cluster.children)


@contextmanager
def clock_skew(bench: Bench, name: str, ahead: float) -> Iterator[str]:
    """A process is deployed on a host whose clock is wrong, and later on one whose clock is right."""
    child = bench.cluster.children[name]
    bench.cluster.respawn(child, {CLOCK: str(ahead)})
    try:
        yield f"{ahead:+g} s"
    finally:
        bench.cluster.respawn(child, {})


def _some(bench: Bench, found: list[T], count: int) -> list[T]:
    """Return so many of those that are there now; of what is being started again there may be none."""
    return bench.rng.sample(found, min(count, len(found)))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _named(pids: list[int]) -> str:
    return ", ".join(map(str, pids)) if len(pids) < 6 else f"{len(pids)} processes"
