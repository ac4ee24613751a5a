"""Processes by identity: a pid alone may belong to somebody else by now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

LOOK_SECONDS = 0.02

CREATE_TIME_TOLERANCE_SECONDS = 1.0
"""psutil computes a process' start from the boot time, which moves a little when the clock is set."""


@dataclass(frozen=True)
class Identity:
    """A process: its pid and when it was started (seconds since 1970)."""

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a living process."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """Return the living process; ``None`` if it has ended, whoever has its pid now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > CREATE_TIME_TOLERANCE_SECONDS:
                return None
            # A zombie has ended; its parent did not look yet.
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def await_end(processes: Sequence[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until processes have ended; return those that have not.

    One that has ended and that nobody reaps has ended: in many containers the first process reaps late or never, and
    psutil's own waiting waits for that.

    Args:
        processes: any processes, children or not.
        timeout: seconds to wait at most.
    """
    give_up_at = time.monotonic() + timeout
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < give_up_at:
        time.sleep(LOOK_SECONDS)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
