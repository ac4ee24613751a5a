"""Duty: tell of faults that are new or grow, and of replays that died again."""

from __future__ import annotations

from typing import ClassVar

from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty

PAGE = 100


class Notice(Duty):
    """Passes what happens to faults to the hooks of ``app.dead_letters``, in one supervisor for each change."""

    name: ClassVar[str] = "notice"
    begins_after: ClassVar[float] = UNASKED

    @property
    def period(self) -> float:
        """A minute; it is asked for sooner."""
        return UNASKED

    def run_once(self) -> int:
        """Tell of a page of faults that changed and return how many notices that made."""
        notices = self.app.ledger.letters.take_notices(PAGE)
        for notice in notices:
            self.app.dead_letters.notices.emit(notice)
        return len(notices)
