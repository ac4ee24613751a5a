"""Signals wake a worker's event loop.

By itself it goes on to wait for what comes next (PEP 475), and heeds them up to a second later.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import Any


class SignalWakeup:
    """A socket that becomes readable when a signal comes; made in the main thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0.0)
        self._writer.settimeout(0.0)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def register(self, hub: Any) -> None:
        """Have an event loop of kombu's go round at each signal."""
        hub.add_reader(self._reader, self._clear)

    def _clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)


def sleep_through_signals() -> None:
    """Wake nobody in a process that was forked, whose parent has the other end."""
    signal.set_wakeup_fd(-1)
