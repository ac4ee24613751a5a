"""A thread that works through a queue: keeps SQL off Celery's event loop, which must never block."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from perdure_workers.recovery.outage import until_the_ledger_is_back

logger = logging.getLogger("perdure.background")


class Background:
    """Runs functions one after another in a thread of its own.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, work: Callable[[], object]) -> None:
        """Have a function run soon, however long the ledger is away; returns at once. What it raises is logged."""
        self._work.put(work)

    def waiting(self) -> int:
        """Return how many functions wait to be run."""
        return self._work.qsize()

    def stop(self, timeout: float) -> None:
        """Finish what was posted and end, waiting at most ``timeout`` seconds."""
        self._work.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                until_the_ledger_is_back(work)
            except Exception:
                logger.exception("background work failed")
