"""Processes by identity: a pid alone may belong to somebody else by now."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

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
