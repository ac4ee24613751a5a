"""Asking whether something works, when the answer may never come.

A check runs in a daemon thread of its own and is given up when its time is over. Python cannot stop its thread; so that
a check that hangs costs one thread and not one more each time, whoever asks again meanwhile is told of the same run.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from typing import Any

from msgspec import Struct

from perdure.system.fork_locks import fork_lock

Check = Callable[[], object]


class Finding(Struct, frozen=True):
    """What a check found.

    ``error`` is empty when all is well. ``at`` is the Unix time at which the check began, ``seconds`` how long it took, or
    has taken so far. ``details`` is the text or mapping that it returned.
    """

    error: str
    at: float
    seconds: float
    details: str | Mapping[str, Any] | None = None


class Probe:
    """A check with a time limit. Thread-safe.

    Args:
        check: a function or coroutine function without arguments. What it raises, or False, says that something is wrong;
            a text or mapping that it returns are details.
        timeout: seconds after which it counts as failed.
    """

    def __init__(self, check: Check, timeout: float) -> None:
        self.check, self.timeout = check, timeout
        self._lock = fork_lock()
        self._run: _Run | None = None

    def begin(self) -> Callable[[], Finding]:
        """Start the check, unless it is running; returns what waits for the finding."""
        with self._lock:
            run = self._run
            if run is None or not run.is_under_way:
                run = self._run = _Run(self.check)
        return lambda: run.finding(self.timeout)

    async def ask_async(self) -> Finding:
        """Return the finding. A coroutine function runs in this loop and is cancelled when its time is over."""
        if not inspect.iscoroutinefunction(self.check):
            return await asyncio.to_thread(self.begin())
        at, began = time.time(), time.monotonic()
        error, result = "", None
        try:
            async with asyncio.timeout(self.timeout) as limit:
                result = await self.check()
        except Exception as problem:  # noqa: BLE001 - whatever a check raises is what it found
            error = _too_late(self.timeout) if limit.expired() else _described(problem)
        return _found(result, error, at, time.monotonic() - began)


def ask_all(probes: Iterable[Probe]) -> list[Finding]:
    """Run checks side by side; returns their findings in the same order, after the longest time limit at the latest."""
    return [finding() for finding in [probe.begin() for probe in probes]]


class _Run:
    """One run of a check, in its thread."""

    def __init__(self, check: Check) -> None:
        self._check, self._pid = check, os.getpid()
        self._at, self._began = time.time(), time.monotonic()
        self._ended: float | None = None
        self._result: object = None
        self._error = ""
        self._done = threading.Event()
        context = copy_context()
        try:
            threading.Thread(target=context.run, args=(self._run,), name="perdure-probe", daemon=True).start()
        except RuntimeError as problem:  # no more threads: that is what this check found
            self._end(None, _described(problem))

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended, in this process: a fork takes no threads along."""
        return not self._done.is_set() and self._pid == os.getpid()

    def finding(self, timeout: float) -> Finding:
        """Wait until it has ended, or until ``timeout`` seconds after it began."""
        if self._done.wait(max(0.0, self._began + timeout - time.monotonic())):
            return _found(self._result, self._error, self._at, (self._ended or self._began) - self._began)
        return _found(None, _too_late(timeout), self._at, time.monotonic() - self._began)

    def _run(self) -> None:
        try:
            result = self._check()
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
        except BaseException as problem:  # noqa: BLE001 - whatever a check raises is what it found
            self._end(None, _described(problem))
        else:
            self._end(result, "")

    def _end(self, result: object, error: str) -> None:
        self._result, self._error, self._ended = result, error, time.monotonic()
        self._done.set()


async def _awaited(result: Any) -> object:
    return await result


def _found(result: object, error: str, at: float, seconds: float) -> Finding:
    if result is False:
        error = "the check returned False"
    details = dict(result) if isinstance(result, Mapping) else result if isinstance(result, str) else None
    return Finding(error, at, round(seconds, 3), details)


def _too_late(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


def _described(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"
