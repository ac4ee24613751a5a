"""Duty: look after groups of primary and backups."""

from __future__ import annotations

import logging
from typing import ClassVar

from perdure.errors import LedgerUnavailable
from perdure_workers.supervisor.duties.duty import Duty

logger = logging.getLogger("perdure.supervisor")


class Groups(Duty):
    """Checks their members, so that a backup takes over for a primary that failed, and tells hooks of it."""

    name: ClassVar[str] = "groups"

    @property
    def period(self) -> float:
        """One second; a group's own ``check_interval`` says how often its members are checked."""
        return 1.0

    def run_once(self) -> int:
        """Look after each group and return how many promotions hooks were told of."""
        return sum(self._look_after(name) for name in list(self.app.groups))

    def _look_after(self, name: str) -> int:
        try:
            return self.app.groups[name].look_after()
        except LedgerUnavailable:
            raise
        except Exception:  # one group's trouble is no other's
            logger.exception("group %s", name)
            return 0
