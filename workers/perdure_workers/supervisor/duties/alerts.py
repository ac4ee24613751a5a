"""Duty: look for what people should know, in one supervisor at a time; tell them directly while the ledger is away."""

from __future__ import annotations

import logging
from typing import ClassVar

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure_workers.notifiers.outage import LedgerOutage
from perdure_workers.supervisor.duties.duty import Duty

logger = logging.getLogger("perdure.alerts")


class LookForAlerts(Duty):
    """Looks at all rules when it is this supervisor's turn; see :mod:`perdure.manage.alerts.look`.

    Args:
        app: The application.

    Raises:
        SettingsError: The settings change a rule that nobody has made.
    """

    name: ClassVar[str] = "alerts"
    begins_after: ClassVar[float] = 1.0

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        app.alerts.rules()
        self._outage = LedgerOutage(app)

    @property
    def period(self) -> float:
        """The setting ``alerts.every``."""
        return self.app.settings.alerts.every

    def run_once(self) -> int:
        """Look once and return 0: the next look has time."""
        try:
            found = self.app.alerts.look()
        except LedgerUnavailable as error:
            self._outage.goes_on(str(error))
            raise
        self._outage.is_over()
        for change in found.changes if found else ():
            logger.debug("alert %s %s: %s", change.alert.rule, change.step, change.alert.message)
        return 0
