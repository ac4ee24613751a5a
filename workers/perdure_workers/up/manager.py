"""The manager: starts every process, keeps them running, and ends them all on one signal."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from perdure_workers.embedded.errors import log_tail
from perdure_workers.up.backoff import Backoff
from perdure_workers.up.errors import ProcessStartFailed
from perdure_workers.up.identity import Identity
from perdure_workers.up.leftovers import clean_up
from perdure_workers.up.processes import Child, ProcessSpec, State
from perdure_workers.up.rotation import rotate_all
from perdure_workers.up.runtime import ProcessRecord, Runtime, UpLock
from perdure_workers.up.source_watch import SourceWatch, broken
from perdure_workers.up.wakeup import Wakeup

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Longest time between two looks at the processes. Deaths and signals wake the manager at once."""
STARTING_LOOK_SECONDS = 0.02
ROTATE_SECONDS = 5.0
"""Time between two looks at the sizes of logs."""
SOURCE_SECONDS = 0.5
"""Time between two looks at the application's source."""
FORCED_EXIT_CODE = 130
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class ProcessEvent:
    """Something that happened to a process, for whoever shows it.

    Args:
        spec: the process.
        state: what it does now.
        pid: its process id, if there is one.
        exit_code: of the process that ended, when the state is ``backoff`` or ``stopped``; negative: the signal.
        retry_in: seconds until it is started again, when the state is ``backoff``.
    """

    spec: ProcessSpec
    state: State
    pid: int | None
    exit_code: int | None = None
    retry_in: float | None = None


@dataclass(frozen=True)
class Addresses:
    """What the processes serve, and for which application (``module:attribute``); written to ``runtime.json``."""

    ledger_url: str
    redis_url: str
    flower_url: str | None = None
    app: str | None = None


class Manager:
    """Runs the processes of one home folder in the foreground, from the main thread.

    Args:
        home: the home folder.
        specs: what to run. Redis is started and ready before the rest starts, and ends last.
        addresses: where the ledger, Redis and Flower are.
        on_event: told of every change of a process' state.
        on_ready: called once, when all processes run.
        watch: what notices changes of the application's source, which restart all but Redis; ``None`` for no restarts.
        on_change: told of the files that changed, and of what is wrong with one, which then restarts nothing.
        backoff: makes the restart policy of one process.
    """

    def __init__(
        self,
        home: Path,
        specs: Sequence[ProcessSpec],
        addresses: Addresses,
        *,
        on_event: Callable[[ProcessEvent], None] | None = None,
        on_ready: Callable[[Runtime], None] | None = None,
        watch: SourceWatch | None = None,
        on_change: Callable[[list[Path], str | None], None] = lambda paths, problem: None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self.home = home.absolute()
        self._addresses = addresses
        self._on_event = on_event or (lambda event: None)
        self._on_ready = on_ready or (lambda runtime: None)
        self._children = [Child(spec, self.home / "logs" / f"{spec.name}.log", backoff()) for spec in specs]
        self._source, self._on_change = watch, on_change
        self._stop_requests = 0
        self._wakeup = Wakeup()

    def run(self) -> int:
        """Start all, watch until a stop signal (SIGINT, SIGTERM, SIGHUP), end all.

        Returns:
            The exit code: 0, or 130 when a second signal forced the end.

        Raises:
            AlreadyUp: another manager runs on this home folder; it is left alone.
            ProcessStartFailed: a process did not become ready; all others were ended.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with UpLock(self.home), self._signals():
            clean_up(self.home)
            self._write_runtime()
            try:
                if self._start():
                    self._on_ready(self._write_runtime())
                    self._watch()
            finally:
                self._stop()
                Runtime.remove(self.home)
        return FORCED_EXIT_CODE if self._stop_requests > 1 else 0

    def _start(self) -> bool:
        """Start stage by stage; false when a stop was asked for meanwhile."""
        for stage in self._stages():
            for child in stage:
                child.spawn()
                self._report(child)
            while not self._stop_requests and any(child.state is not State.RUNNING for child in stage):
                self._wakeup.wait(STARTING_LOOK_SECONDS)
                for child in self._children:
                    if child.state is not State.STOPPED:
                        self._step(child)
                for child in stage:
                    self._must_be_starting(child)
            if self._stop_requests:
                return False
        return True

    def _must_be_starting(self, child: Child) -> None:
        if child.state is State.BACKOFF:
            how = f"ended with exit code {child.exit_code} before it was ready"
        elif child.late:
            how = f"was not ready within {child.spec.start_timeout:g} s"
        else:
            return
        raise ProcessStartFailed(f"{child.spec.name} {how}. {child.log_file} says:\n{log_tail(child.log_file)}")

    def _watch(self) -> None:
        rotate_at = source_at = 0.0
        while not self._stop_requests:
            self._wakeup.wait(self._next_look_in())
            for child in self._children:
                self._step(child)
            if time.monotonic() >= rotate_at:
                rotate_all(self.home)
                rotate_at = time.monotonic() + ROTATE_SECONDS
            if self._source is not None and time.monotonic() >= source_at:
                self._restart_if_changed(self._source)
                source_at = time.monotonic() + SOURCE_SECONDS

    def _next_look_in(self) -> float:
        """Return seconds; the time to start a process again may come before the next look at all of them."""
        now = time.monotonic()
        waits = [child.restart_at - now for child in self._children if child.state is State.BACKOFF]
        return max(0.0, min([LOOK_SECONDS, *waits]))

    def _restart_if_changed(self, source: SourceWatch) -> None:
        if not (changed := source.changed()):
            return
        problem = broken(changed)
        self._on_change(changed, problem)
        for child in self._children:
            if problem is None and child.spec.role != "redis":
                child.restart()

    def _step(self, child: Child) -> None:
        if child.step() is not None:
            self._report(child)

    def _stop(self) -> None:
        """End all: workers, supervisor and Flower side by side, then Redis, which they need until their last write."""
        for stage in reversed(self._stages()):
            for child in stage:
                child.terminate()
            while alive := [child for child in stage if child.state is not State.STOPPED]:
                for child in alive:
                    if self._stop_requests > 1 or child.stop_is_late:
                        child.kill()
                    if child.pid is None or child.has_ended():
                        child.state = State.STOPPED
                        self._report(child)
                self._wakeup.wait(STARTING_LOOK_SECONDS)

    def _stages(self) -> list[list[Child]]:
        servers = [child for child in self._children if child.spec.role == "redis"]
        return [servers, [child for child in self._children if child not in servers]]

    def _report(self, child: Child) -> None:
        ended = child.state in (State.BACKOFF, State.STOPPED)
        retry_in = max(0.0, child.restart_at - time.monotonic()) if child.state is State.BACKOFF else None
        self._write_runtime()
        self._on_event(ProcessEvent(child.spec, child.state, child.pid, child.exit_code if ended else None, retry_in))

    def _write_runtime(self) -> Runtime:
        manager = Identity.of(os.getpid())
        assert manager is not None
        runtime = Runtime(
            home=str(self.home),
            ledger_url=self._addresses.ledger_url,
            redis_url=self._addresses.redis_url,
            flower_url=self._addresses.flower_url,
            app=self._addresses.app,
            folder=os.getcwd(),
            processes=[_record(child) for child in self._children],
            manager=manager,
        )
        runtime.write(self.home)
        return runtime

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count stop requests instead of dying of them, and wake up when a child ends."""

        def ask_to_stop(signum: int, frame: FrameType | None) -> None:
            self._stop_requests += 1

        handlers = dict.fromkeys(STOP_SIGNALS, ask_to_stop) | {signal.SIGCHLD: lambda signum, frame: None}
        before = {sig: signal.signal(sig, handler) for sig, handler in handlers.items()}
        try:
            with self._wakeup:
                yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _record(child: Child) -> ProcessRecord:
    identity = Identity.of(child.pid) if child.pid else None
    return ProcessRecord(
        role=child.spec.role,
        name=child.spec.name,
        bulkhead=child.spec.bulkhead,
        pid=child.pid,
        state=child.state,
        create_time=identity.create_time if identity else None,
    )
