"""Duty: archive what succeeded, and rotate tables while somebody holds a transaction open and VACUUM can take nothing."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure_workers.shared.pace import Pace
from perdure_workers.supervisor.duties.ask import UNASKED
from perdure_workers.supervisor.duties.duty import Duty

logger = logging.getLogger("perdure.rotate")

#: Seconds between two looks; between two pages that are archived while there are more; and while it is behind.
PERIOD, NEXT_PAGE, HASTE = 10.0, 1.0, 0.1
#: Archiving rests for so many times as long as a page took, which is longer the fuller the server is, but for no more than
#: so many seconds. It rests less where it is behind: only a table in which little lives can be rotated.
CALM, BRISK, LONGEST_REST = 10.0, 1.0, 10.0
#: Seconds for which the oldest transaction is to stay the same until somebody holds it open.
HELD = 60.0
#: Jobs that one transaction archives; and seconds since their end, after which nothing is written about them any more. Few
#: are to be in the table when somebody begins to hold a transaction open, and fewer from then on.
PAGE, REST, SHORT_REST = 1_000, 60.0, 5.0
#: Seconds from a page that is not full to the next one, which begins at the oldest again and passes all dead ones by.
BETWEEN = 3.0
#: Seconds until a rotation that was not possible is tried again: who works waits a moment for each try.
PAUSE = 20.0


class Rotate(Duty):
    """Keeps tables small: both what lives in them and what is dead; see :mod:`perdure.ledger.partitions.rotate`.

    Args:
        app: The application, whose history is in partitions.
    """

    name: ClassVar[str] = "rotate"
    begins_after: ClassVar[float] = UNASKED

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        self._horizon: str | None = None
        self._since = self._pause_until = self._archive_at = time.monotonic()
        self._archived = self._said = ""
        self._calm, self._brisk = Pace(CALM, LONGEST_REST), Pace(BRISK, LONGEST_REST)
        self._is_behind = False

    @property
    def period(self) -> float:
        """A second while a transaction is held open or there is more to archive, less where it is behind; or ten."""
        if self._is_behind and self._archived:
            return HASTE
        return NEXT_PAGE if self._is_held or self._archived else PERIOD

    @property
    def _is_held(self) -> bool:
        return self._horizon is not None and time.monotonic() >= self._since + HELD

    def run_once(self) -> int:
        """Rotate what has to be, archive a page, and return 0: the next time will do."""
        found = self.app.ledger.partitions.look()
        if found.horizon != self._horizon:
            self._horizon, self._since = found.horizon, time.monotonic()
        self._is_behind = self._is_held and found.is_behind
        if self._is_held:
            for table in found.to_rotate:
                self._rotate(table)
        pace = self._brisk if self._is_behind else self._calm
        if pace.is_due and time.monotonic() >= self._archive_at:
            pace.timed(self._archive)
        return 0

    def _rotate(self, table: str) -> None:
        began = time.monotonic()
        if began < self._pause_until:
            return
        try:
            why_not = self.app.ledger.partitions.rotate(table)
        except LedgerUnavailable as error:
            why_not = str(error)
        if why_not is None:
            took = time.monotonic() - began
            logger.info("%s rotated in %.2f s, since transaction %s is held open", table, took, self._horizon)
        else:
            self._pause_until = time.monotonic() + PAUSE
            self._say(f"dead rows of {table} stay while transaction {self._horizon} is held open: {why_not}")

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            logger.warning("%s", what)

    def _archive(self) -> None:
        period = self.app.settings.partition_period
        assert period is not None
        rest = SHORT_REST if self._is_held else REST
        moved = self.app.ledger.partitions.archive(period, rest, self._archived, PAGE)
        self._archived = moved[-1] if len(moved) == PAGE else ""
        if not self._archived:
            self._archive_at = time.monotonic() + BETWEEN
