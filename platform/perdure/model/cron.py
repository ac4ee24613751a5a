"""Cron expressions in a time zone, read as Debian's cron reads them (by ``cronsim``).

Minute, hour, day of month, month, day of week; with six fields the first one is seconds. When day of month and day of week
are both restricted either is enough. Names (``MON``, ``JAN``), ranges with steps, 7 for Sunday, ``L`` and ``MON#2`` are
known, and ``@daily`` and its like.

When clocks change, a job at certain times (``30 2 * * *``) runs once a day all the same: right after an hour that is
skipped, and in the first of two hours that are the same. One that runs throughout the day (``*/15 * * * *``) goes on as
time does.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from msgspec import Struct

from perdure.system.fork_locks import once

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronUnreadable(ValueError):
    """A cron expression or its time zone cannot be read, or it never comes."""


class Cron(Struct, frozen=True, dict=True):
    """A cron expression in a time zone.

    Args:
        expression: The expression.
        zone: The time zone whose clocks it goes by.

    Raises:
        CronUnreadable: The expression cannot be read, or never comes.
    """

    expression: str
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if self.next_after(0.0) == math.inf:
            raise CronUnreadable(f"{self.expression!r} never comes")

    def next_after(self, moment: float) -> float:
        """Return the first tick after a moment, both epoch seconds; infinite when none comes within fifty years.

        Raises:
            CronUnreadable: The expression cannot be read after all.
        """
        fields, seconds = self._fields
        try:
            # Naive moments of a repeated hour are read as those of the first: such a tick may lie before the moment.
            for tick in CronSim(fields, datetime.fromtimestamp(moment - seconds, self.zone)):
                if tick.timestamp() + seconds > moment:
                    return tick.timestamp() + seconds
        except CronSimError as error:
            raise CronUnreadable(f"{self.expression!r} cannot be read: {error}") from None
        return math.inf

    @once
    def _fields(self) -> tuple[str, int]:
        """The expression without its field of seconds where that is one second, and that second.

        Hours that are skipped or repeated are seen to in expressions of five fields only.
        """
        if not isinstance(self.expression, str):
            raise CronUnreadable(f"{self.expression!r} is no text")
        expression = " ".join(self.expression.split())
        if expression.startswith("@"):
            if expression.lower() not in ALIASES:
                raise CronUnreadable(f"{self.expression!r} is not known. Known: {', '.join(ALIASES)}")
            return ALIASES[expression.lower()], 0
        seconds, _, rest = expression.partition(" ")
        if rest.count(" ") == 4 and seconds.isdecimal() and int(seconds) < 60:
            return rest, int(seconds)
        return expression, 0


def zone_of(name: str | tzinfo | None) -> tzinfo:
    """Return a time zone by its name in the IANA database, such as ``Europe/Berlin``; UTC for None.

    Raises:
        CronUnreadable: There is no such zone, or it is of another library than ``zoneinfo``.
    """
    if name is None:
        return UTC
    if isinstance(name, (ZoneInfo, timezone)):
        return name
    try:
        return ZoneInfo(name)  # type: ignore[arg-type]
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise CronUnreadable(f"tz={name!r} is no zoneinfo.ZoneInfo nor the name of one, such as 'Europe/Berlin'") from None
