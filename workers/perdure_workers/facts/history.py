"""The last hour by minutes, from the ledger. A minute that is over does not change: it is read once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.ledger import minutes
from perdure.model.alerts.slo import Count

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure.ledger.jobs.history import Ended

MINUTES = 60
#: Seconds that one look may take to read minutes that are over; the next look reads on.
BUDGET = 0.5
#: Seconds after a minute's end until nothing can be added to it: writers' transactions are over then.
SETTLED = 5.0


class History:
    """What ended in each of the last minutes. Thread-safe.

    Args:
        app: Whose ledger is read.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._minutes: dict[int, Sequence[Ended]] = {}

    def last_hour(self) -> list[Sequence[Ended] | None]:
        """Return the last 60 minutes, the current one last; None for one that has not been read yet."""
        with self._lock:
            now = self._app.ledger.clock()
            current = int(now // 60)
            wanted = range(current - MINUTES + 1, current + 1)
            self._minutes = {minute: ended for minute, ended in self._minutes.items() if minute in wanted}
            fresh = {minute: self._read(minute) for minute in wanted if now < (minute + 1) * 60 + SETTLED}
            give_up_at = time.monotonic() + BUDGET
            for minute in reversed(wanted):
                if minute not in self._minutes and minute not in fresh and time.monotonic() < give_up_at:
                    self._minutes[minute] = self._read(minute)
            return [fresh.get(minute, self._minutes.get(minute)) for minute in wanted]

    def services(self) -> dict[str, list[Count]]:
        """Return what the calls of each service in jobs came to in the same minutes."""
        current = int(self._app.ledger.clock() // 60)
        wanted = range(current - MINUTES + 1, current + 1)
        found = self._app.ledger.direct(lambda c: minutes.each_of(c, minutes.SERVICE, wanted[0] * 60.0))
        return {name: [counts.get(minute, Count()) for minute in wanted] for name, counts in found.items()}

    def _read(self, minute: int) -> Sequence[Ended]:
        return self._app.ledger.jobs.ended_between(minute * 60.0, (minute + 1) * 60.0)
