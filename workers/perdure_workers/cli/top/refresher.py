"""The facts, read again and again by a thread: a ledger that is slow or away holds up no key."""

from __future__ import annotations

import threading
from collections.abc import Callable

from perdure_workers.cli.top.facts import Facts


class Refresher:
    """Reads facts in a thread until it is stopped.

    Args:
        read: Reads them.
        every: Seconds between two reads.
    """

    def __init__(self, read: Callable[[], Facts], every: float) -> None:
        self._read, self._every = read, every
        self._wanted = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="perdure-top", daemon=True)
        #: What was read last; None before the first time.
        self.facts: Facts | None = None
        #: Why the last read failed; empty when it did not.
        self.problem = ""
        #: How many reads have ended.
        self.reads = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def now(self) -> None:
        """Read again at once: something has been changed."""
        self._wanted.set()

    def stop(self) -> None:
        """End; a read that hangs is not waited for."""
        self._is_over = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._is_over:
            try:
                self.facts, self.problem = self._read(), ""
            except Exception as error:  # noqa: BLE001 - whatever is wrong now is shown, and may be right again later
                self.problem = f"{type(error).__name__}: {error}"
            self.reads += 1
            self._wanted.wait(self._every)
            self._wanted.clear()
