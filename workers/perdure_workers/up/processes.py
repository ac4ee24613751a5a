"""One process under the manager: how to start it, and its life from one start to the next."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from perdure_workers.embedded.die_with_parent import end_with_parent
from perdure_workers.up.backoff import Backoff

Role = Literal["redis", "worker", "supervisor", "flower"]

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 45.0
"""Longer than a worker's drain timeout (30 s), so that a drain is not cut short."""

CANNOT_EXECUTE = 127
"""Exit code that shells give for a program that is not there."""


class State(StrEnum):
    """What a process does, as ``perdure status`` tells it."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessSpec:
    """What to run.

    Args:
        role: what the process is for.
        name: unique under one manager; names the log file ``logs/NAME.log``.
        argv: the command.
        bulkhead: the bulkhead that a worker serves.
        env: variables that are added to this process' environment.
        cwd: working folder; ``None`` for the manager's.
        ready: called with the pid until it returns true; ``None``: ready once started.
        start_timeout: seconds until it must be ready.
        stop_timeout: seconds that it gets to end after SIGTERM, before SIGKILL.
    """

    role: Role
    name: str
    argv: Sequence[str]
    bulkhead: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Callable[[int], bool] | None = None
    start_timeout: float = START_TIMEOUT_SECONDS
    stop_timeout: float = STOP_TIMEOUT_SECONDS


class Child:
    """A process and its restarts. Call from the main thread only: its death signal is bound to the thread.

    Args:
        spec: what to run.
        log_file: where its output goes, appended.
        backoff: decides when to start it again.
        clock: monotonic seconds.
    """

    def __init__(
        self, spec: ProcessSpec, log_file: Path, backoff: Backoff, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.spec = spec
        self.log_file = log_file
        self.state = State.STOPPED
        self.exit_code: int | None = None
        self.started_at = 0.0
        self.restart_at = 0.0
        self.stop_by: float | None = None
        self._backoff = backoff
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._is_restarting = False

    @property
    def pid(self) -> int | None:
        """Process id; ``None`` while there is no process."""
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        """Start the process in a session of its own, bound to end (by SIGTERM) when this one dies."""
        self.started_at = self._clock()
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the platform's own commands, no shell
                    list(self.spec.argv),
                    env={**os.environ, **self.spec.env},
                    cwd=self.spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a Ctrl-C in the terminal reaches the manager alone
                    preexec_fn=end_with_parent(signal.SIGTERM),
                )
            except OSError as error:  # no such program (any more): as if it had ended at once
                log.write(f"cannot start {self.spec.argv[0]}: {error}\n".encode())
                self._died(exit_code=CANNOT_EXECUTE)
            else:
                self.state = State.STARTING

    def _died(self, exit_code: int) -> None:
        now = self._clock()
        self.exit_code = exit_code
        self.restart_at = now + self._backoff.after_death(now - self.started_at)
        self.state = State.BACKOFF

    def step(self) -> State | None:
        """Look after the process once: notice its death, its readiness, or that it is time to start it again.

        Returns:
            The new state, or ``None`` when nothing changed. A spawn shows as ``STARTING``.
        """
        before = self.state, self.pid
        if self._is_restarting and self.stop_is_late:
            self._signal_group(signal.SIGKILL)
        if self.has_ended():
            self._spawn_again() if self._is_restarting else self._died(self.exit_code or 0)
        elif self.state is State.BACKOFF and self._clock() >= self.restart_at:
            self.spawn()
        elif self.state is State.STARTING and self.pid and (self.spec.ready is None or self.spec.ready(self.pid)):
            self.state = State.RUNNING
        return self.state if (self.state, self.pid) != before else None

    @property
    def late(self) -> bool:
        """Whether it is still not ready after its start timeout."""
        return self.state is State.STARTING and self._clock() - self.started_at > self.spec.start_timeout

    @property
    def stop_is_late(self) -> bool:
        """Whether it was asked to end and took longer than its stop timeout."""
        return self.stop_by is not None and self._clock() > self.stop_by

    def has_ended(self) -> bool:
        """Tell whether the process has ended since the last look, and sweep up what it left in its group."""
        if self._process is None or self._process.poll() is None:
            return False
        self.exit_code = self._process.returncode
        self._signal_group(signal.SIGKILL)
        self._process = None
        return True

    def terminate(self) -> None:
        """Ask the process to end in order. Only its main pid: a signal to the group would kill a worker's children."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self.stop_by = self._clock() + self.spec.stop_timeout

    def restart(self) -> None:
        """Have the process end in order, a worker after its jobs, and start it again at once."""
        if self._process is None:
            self.restart_at = 0.0  # it is to be started again anyway
        elif not self._is_restarting:
            self._is_restarting = True
            self.terminate()

    def _spawn_again(self) -> None:
        self._is_restarting, self.stop_by = False, None
        self.spawn()

    def kill(self) -> None:
        """End the process and all of its group at once, and wait for it."""
        if self._process is not None:
            self._signal_group(signal.SIGKILL)
            self.exit_code = self._process.wait()
            self._process = None
        self.state = State.STOPPED

    def _signal_group(self, sig: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # nobody is left in it
                os.killpg(self._process.pid, sig)
