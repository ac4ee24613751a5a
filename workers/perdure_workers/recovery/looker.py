"""The look: a thread of a worker's main process that finds work which no bell told of.

So a bell that is lost costs a second, and jobs go on at that pace while the broker is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.ledger.jobs.claim import SLACK
from perdure.ledger.jobs.lanes import ALL, LANES, Lane
from perdure.model.lanes import PLAIN
from perdure_workers.shared.pace import Pace
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.timers import until_next

logger = logging.getLogger("perdure.looker")

#: Seconds between two looks, when nothing becomes due before; one query each.
INTERVAL = 1.0
SHORTEST = 0.02
#: A look that takes longer than so many seconds meets rows that are dead and cannot be removed; see ``choice.py``. The next
#: ones see what has come since, for so many times as long as it took and no more than so many seconds.
SLOW, REST, LONGEST_REST = 0.02, 50.0, 10.0
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
        self._whole = Pace(REST, LONGEST_REST, SLOW)
        self._search = Pace(REST, LONGEST_REST, SLOW)
        #: When nobody waited in the plain lane who could have run, on the monotonic clock.
        self._clear_at = float("-inf")
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
            if self._search.is_due:
                tasks = set(self._app.tasks)
                self._search.timed(lambda: self._app.ledger.jobs.note_unknown(self._bulkhead, tasks, UNKNOWN_PAGE))
            self._hush()
        return max(wait, SHORTEST)

    def _look_for_work(self) -> float:
        wait, lanes = INTERVAL, self._first_lanes()
        while True:
            waits = [lane.waits for lane in lanes]
            wait = min([wait, *(seconds for seconds in waits if seconds > 0)])
            for _ in range(waits.count(0.0)):
                self._wakeups.post()
            if 0.0 in waits or len(lanes) < LANES:
                return wait
            lanes = self._app.ledger.jobs.lanes(self._bulkhead, lanes[-1].name)

    def _first_lanes(self) -> Sequence[Lane]:
        began = time.monotonic()
        if self._whole.is_due:
            lanes = self._whole.timed(lambda: self._app.ledger.jobs.lanes(self._bulkhead))
        else:
            lanes = self._app.ledger.jobs.lanes(self._bulkhead, back=min(ALL, began - self._clear_at + SLACK))
        if not any(lane.name == PLAIN and lane.waits == 0.0 for lane in lanes):
            self._clear_at = began
        return lanes

    def _run(self) -> None:
        wait = SHORTEST
        while not self._stop.wait(wait if wait < INTERVAL else until_next(INTERVAL)):
            wait = INTERVAL
            try:
                wait = self.look()
            except LedgerUnavailable as error:
                logger.warning("looking for work failed: %s", error)
            except Exception:
                logger.exception("looking for work failed")
