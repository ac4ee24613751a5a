"""Named operation timeouts.

A synchronous call runs in a thread of its own, because Python cannot interrupt it. When its time is over the caller
goes on with :class:`OperationTimeout` and the thread runs on: ``still_running`` says so, the snapshot counts such
threads, and beyond ``max_abandoned`` of them further calls are refused, so that a hanging service cannot fill the
process with threads. An ``async`` call is really cancelled.

Inside, :func:`~perdure.resilience.service.deadline.remaining` tells what is left; nested timeouts never take longer than
that.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, Literal, ParamSpec, TypeVar, cast

from msgspec import Struct, field

from perdure.errors import BulkheadFull, PerdureError
from perdure.resilience.config_checks import check_above_zero
from perdure.resilience.decorating import decorated
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.link import Clock
from perdure.resilience.service.deadline import capped, deadline
from perdure.system.fork_locks import fork_lock

P = ParamSpec("P")
R = TypeVar("R")


class OperationTimeout(PerdureError, TimeoutError):
    """An operation took longer than its seconds. ``still_running``: its thread goes on, and may still have effects."""

    def __init__(self, name: str, seconds: float, *, still_running: bool) -> None:
        state = "it is still running in its thread" if still_running else "it was not started or was cancelled"
        super().__init__(f"{name!r} took longer than {seconds:.3g} s; {state}")
        self.name, self.seconds, self.still_running = name, seconds, still_running

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.name, self.seconds, self.still_running)


def _rebuild(name: str, seconds: float, still_running: bool) -> OperationTimeout:
    return OperationTimeout(name, seconds, still_running=still_running)


class TimeoutsConfig(Struct, frozen=True, kw_only=True):
    """Timeouts by operation.

    Args:
        default: seconds for operations that have no timeout of their own; None for none but the deadline.
        operations: seconds by name.
        max_abandoned: threads of one operation that may run on after their time before further calls are refused.
    """

    default: float | None = 30.0
    operations: Mapping[str, float] = field(default_factory=dict)
    max_abandoned: int = 20

    def __post_init__(self) -> None:
        for name, seconds in {**self.operations, "default": 1.0 if self.default is None else self.default}.items():
            check_above_zero(f"timeout {name!r}", seconds)


class TimeoutSnapshot(Struct, frozen=True):
    """One operation's counters in this process. ``abandoned``: threads that run on after their time."""

    name: str
    seconds: float | None
    calls: int
    timed_out: int
    abandoned: int


class TimeoutEvent(Struct, frozen=True):
    """An operation timed out, or one that had timed out ``finished_late`` after ``seconds`` in all."""

    kind: Literal["timed_out", "finished_late"]
    name: str
    seconds: float


class Timeouts:
    """``timeouts["payments"].call(fn)``: the timeouts of an application by operation. Thread-safe."""

    def __init__(self, config: TimeoutsConfig | None = None, *, clock: Clock = time.monotonic) -> None:
        self.config, self._clock = config or TimeoutsConfig(), clock
        self._lock = fork_lock()
        self._operations: dict[str, Timeout] = {}

    def __getitem__(self, name: str) -> Timeout:
        with self._lock:
            if name not in self._operations:
                seconds = self.config.operations.get(name, self.config.default)
                self._operations[name] = Timeout(name, seconds, max_abandoned=self.config.max_abandoned, clock=self._clock)
            return self._operations[name]

    def set_timeout(self, name: str, seconds: float | None) -> None:
        """Change what an operation may take, from its next call on, in this process.

        Args:
            name: the operation.
            seconds: above 0; None for no limit but the deadline.

        Raises:
            SettingsError: the seconds are not allowed.
        """
        self[name].set_timeout(seconds)

    def snapshots(self) -> list[TimeoutSnapshot]:
        """Return a snapshot of each operation that was used, by name."""
        with self._lock:
            operations = list(self._operations.values())
        return sorted((each.snapshot() for each in operations), key=lambda snapshot: snapshot.name)


class Timeout:
    """One operation's timeout. Thread-safe.

    Args:
        name: the operation.
        seconds: what a call may take; None for no limit but the deadline.
        max_abandoned: threads that may run on after their time.
        clock: monotonic seconds, for durations in events.
    """

    def __init__(self, name: str, seconds: float | None, *, max_abandoned: int = 20, clock: Clock = time.monotonic) -> None:
        self.name, self.seconds = name, seconds
        self._max_abandoned, self._clock = max_abandoned, clock
        self._lock = fork_lock()
        self._calls = self._timed_out = self._abandoned = 0
        self._listeners: Listeners[TimeoutEvent] = Listeners()

    def set_timeout(self, seconds: float | None) -> None:
        """Change what a call may take, from the next one on; None for no limit but the deadline.

        Raises:
            SettingsError: the seconds are not allowed.
        """
        if seconds is not None:
            check_above_zero(f"timeout {self.name!r}", seconds)
        self.seconds = seconds

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn`` in a thread with this context and wait for it. Without any limit it runs right here.

        Raises:
            OperationTimeout: it took too long.
            BulkheadFull: too many calls that timed out still run.
        """
        seconds = self._start()
        if seconds is None:
            return fn(*args, **kwargs)
        with deadline(seconds):
            run = _ThreadRun(lambda: fn(*args, **kwargs), lambda ran: self._finished_late(ran), self._clock)
        if not run.wait(seconds, self._abandon):
            raise self._too_late(seconds, still_running=True)
        return cast("R", run.result())

    async def call_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn``; when its time is over it is cancelled.

        Raises:
            OperationTimeout: it took too long.
        """
        seconds = self._start()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                with deadline(seconds):
                    return await fn(*args, **kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the function's own
            raise self._too_late(seconds or 0.0, still_running=False) from error

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function."""
        return decorated(fn, self.call, self.call_async)

    def snapshot(self) -> TimeoutSnapshot:
        """Return the counters."""
        with self._lock:
            return TimeoutSnapshot(self.name, self.seconds, self._calls, self._timed_out, self._abandoned)

    def listen(self, listener: Callable[[TimeoutEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each event; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def _start(self) -> float | None:
        seconds = capped(self.seconds)
        with self._lock:
            if self._abandoned >= self._max_abandoned:
                raise BulkheadFull(f"{self.name!r}: {self._abandoned} calls that timed out still run; wait until they end")
            self._calls += 1
        if seconds is not None and seconds <= 0:
            raise self._too_late(0.0, still_running=False)
        return seconds

    def _too_late(self, seconds: float, *, still_running: bool) -> OperationTimeout:
        with self._lock:
            self._timed_out += 1
        self._listeners.emit(TimeoutEvent("timed_out", self.name, seconds))
        return OperationTimeout(self.name, seconds, still_running=still_running)

    def _abandon(self) -> None:
        with self._lock:
            self._abandoned += 1

    def _finished_late(self, ran: float) -> None:
        with self._lock:
            self._abandoned -= 1
        self._listeners.emit(TimeoutEvent("finished_late", self.name, ran))


class _ThreadRun:
    """A function that runs in a daemon thread, which the interpreter's exit does not wait for."""

    def __init__(self, fn: Callable[[], object], finished_late: Callable[[float], None], clock: Clock) -> None:
        self._fn, self._finished_late, self._clock = fn, finished_late, clock
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._abandoned = False
        self._result: object = None
        self._error: BaseException | None = None
        context = copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="perdure-timeout", daemon=True).start()

    def _run(self) -> None:
        began = self._clock()
        try:
            self._result = self._fn()
        except BaseException as error:  # noqa: BLE001 - it is the caller's to handle
            self._error = error
        with self._lock:
            self._done.set()
            late = self._abandoned
        if late:
            self._finished_late(self._clock() - began)

    def wait(self, seconds: float, abandon: Callable[[], None]) -> bool:
        """Return whether it finished in time; else ``abandon`` was called before it could finish unseen."""
        if self._done.wait(seconds):
            return True
        with self._lock:
            if self._done.is_set():
                return True
            self._abandoned = True
            abandon()
            return False

    def result(self) -> object:
        if self._error is not None:
            raise self._error
        return self._result
