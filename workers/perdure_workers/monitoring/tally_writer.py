"""Writes what a process has counted to the ledger, from a thread of its own.

A process that is killed has told all but its last seconds; what must be exact is counted by settlements instead.
"""

from __future__ import annotations

import logging
import threading

from perdure import Perdure
from perdure.errors import PerdureError

logger = logging.getLogger("perdure.metrics")

#: Seconds that counts of a child wait for others.
WAIT = 3.0
#: Likewise those of a process that counts something as long as it lives: it shall hardly write while nothing goes on.
IDLE_WAIT = 30.0
#: Seconds for which a ledger that is away is left alone.
PAUSE_AFTER_FAILURE = 10.0


class TallyWriter:
    """The thread; make it in the process whose counts it writes, after the fork.

    Args:
        app: The application.
        wait: Seconds that counts wait for others.
    """

    def __init__(self, app: Perdure, wait: float) -> None:
        self._app = app
        self._wait = wait
        self._some = threading.Event()
        self._stop = threading.Event()
        app.tally.on_some = self._some.set
        self._thread = threading.Thread(target=self._run, name="perdure-tally", daemon=True)

    def start(self) -> None:
        """Start the thread. What the parent process has counted is its own to tell."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Write what there is and end, in at most ``timeout`` seconds."""
        self._stop.set()
        self._some.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._stop.wait(self._wait)
            self._some.clear()
            if not self.write():
                self._stop.wait(PAUSE_AFTER_FAILURE)
                self._some.set()

    def write(self) -> bool:
        """Write what was counted; return whether that went well."""
        counts = self._app.tally.take()
        try:
            if counts:
                self._app.ledger.count(counts)
        except PerdureError as error:
            self._app.tally.give_back(counts)
            logger.warning("what was counted is written later: %s", error)
            return False
        except Exception:
            logger.exception("what was counted cannot be written and is forgotten")
        return True
