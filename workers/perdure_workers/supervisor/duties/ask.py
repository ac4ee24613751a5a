"""Duty: ask the ledger, by one statement, which other duties find something to do, and have them done."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import ClassVar

from perdure import Perdure
from perdure_workers.recovery.process_lock import held_here
from perdure_workers.supervisor.duties.duty import Duty

#: Seconds from one run to the next of a duty that is asked for, when nobody asks.
UNASKED = 60.0
#: Of so many questions one looks for jobs that were claimed while their worker was declared dead: hardly ever any.
THOROUGH_EVERY = 4


class Ask(Duty):
    """Asks for duties whose work hardly ever is there.

    Args:
        app: The application.
        duties: Those duties.
    """

    name: ClassVar[str] = "ask"

    def __init__(self, app: Perdure, duties: Sequence[Duty]) -> None:
        super().__init__(app)
        self._duties = duties
        self._host = socket.gethostname()
        self._runs = 0

    @property
    def period(self) -> float:
        """A heartbeat: so soon is a worker suspected whose heartbeats are late."""
        return self.app.settings.heartbeat_interval

    def run_once(self) -> int:
        """Ask once and return 0: the next time will do."""
        settings = self.app.settings
        due = self.app.ledger.due(
            host=self._host,
            held=held_here(),
            ttl=settings.unknown_task_ttl,
            notifiers=list(settings.alerts.notifiers),
            thorough=self._runs % THOROUGH_EVERY == 0,
        )
        self._runs += 1
        for duty in self._duties:
            duty.told(is_due=duty.name in due)
        return 0
