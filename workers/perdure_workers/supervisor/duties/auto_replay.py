"""Duty: replay letters that died of a circuit breaker when it is not open any more, where their task wants it."""

from __future__ import annotations

from typing import ClassVar

from perdure.manage.dead_letters.auto_replay import replay_what_can_run
from perdure_workers.supervisor.duties.duty import Duty


class AutoReplayer(Duty):
    """Starts the bulk replays of tasks with ``auto_replay=``."""

    name: ClassVar[str] = "auto_replay"

    @property
    def period(self) -> float:
        """Two seconds."""
        return 2.0

    def run_once(self) -> int:
        """Start what can run and return 0: the next look has time."""
        replay_what_can_run(list(self.app.tasks.values()), self.app.ledger, lambda: self.app.dead_letters)
        return 0
