"""The look: a thread of a worker's main process that finds work which no bell told of.

So a bell that is lost costs a second, and jobs go on at that pace while the broker is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.ledger.jobs.lanes import LANES
from perdure_workers.shared.wakeups import Wakeups

logger = logging.getLogger("perdure.looker")

#: Seconds between two looks, when nothing becomes due before; one query each.
INTERVAL = 1.0
SHORTEST = 0.02
#: Looks from one search for jobs of unknown tasks to the next, and how far into the line it goes.
UNKNOWN_EVERY = 5
UNKNOWN_PAGE = 1_000


class Looker:
    """Wakes a worker's children when there is work, and when a job becomes due.

    Args:
        app: The application.
        bulkhead: What the worker serves.
        wakeups: Its children's.
        hush: Called now and then; keeps the broker's queue short.
    """

    def __init__(self, app: Perdure, bulkhead: str, wakeups: Wakeups, hush: Callable[[], object]) -> None:
        self._app = app
        self._bulkhead = bulkhead
        self._wakeups = wakeups
        self._hush = hush
        self._looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-looker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def look(self) -> float:
        """Wake a child if there is work; return the seconds until the next look."""
        wait = self._look_for_work()
        self._looks += 1
        if self._looks % UNKNOWN_EVERY == 0:
            self._app.ledger.note_unknown(self._bulkhead, set(self._app.tasks), UNKNOWN_PAGE)
            self._hush()
        return max(wait, SHORTEST)

    def _look_for_work(self) -> float:
        wait, after = INTERVAL, ""
        while True:
            lanes = self._app.ledger.lanes(self._bulkhead, after)
            waits = [lane.waits for lane in lanes]
            wait = min([wait, *(seconds for seconds in waits if seconds > 0)])
            for _ in range(waits.count(0.0)):
                self._wakeups.post()
            if 0.0 in waits or len(lanes) < LANES:
                return wait
            after = lanes[-1].name

    def _run(self) -> None:
        wait = SHORTEST
        while not self._stop.wait(wait):
            wait = INTERVAL
            try:
                wait = self.look()
            except LedgerUnavailable as error:
                logger.warning("looking for work failed: %s", error)
            except Exception:
                logger.exception("looking for work failed")
