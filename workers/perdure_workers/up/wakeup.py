"""Sleep that any signal ends."""

from __future__ import annotations

import select
import signal
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self


class Wakeup:
    """Waits for a time or the next signal, whichever comes first, with no signal lost between two waits.

    Python writes a byte to a socket for every signal that has a handler (``signal.set_wakeup_fd``).
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._before)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> None:
        """Return after ``seconds``, or at once when a signal came since the last call."""
        if select.select([self._reader], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                while self._reader.recv(4096):
                    pass
