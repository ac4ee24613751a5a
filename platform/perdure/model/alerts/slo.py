"""Service level objectives: error budgets, and how fast they burn.

After *The Site Reliability Workbook* (Google, 2018), chapter 5, "Alerting on SLOs", the sixth way: alerts by several
windows and burn rates. https://sre.google/workbook/alerting-on-slos/
"""

from __future__ import annotations

from msgspec import Struct

from perdure.errors import SettingsError

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
#: Seconds of the longest window: counts are kept for so long.
LONGEST_WINDOW = 90 * DAY


class Slo(Struct, frozen=True):
    """An objective: this part of a task's jobs succeeds in time.

    Attributes:
        name: Its name.
        task: The task whose jobs count.
        within: Seconds from when a job could run to its success; None when its success alone counts.
        target: The part that has to be good, such as 0.999.
        window: Seconds over which it is judged.
    """

    name: str
    task: str
    within: float | None
    target: float
    window: float

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise SettingsError(f"slo {self.name!r}: target={self.target!r} must lie between 0 and 1, such as 0.999")
        if self.within is not None and not self.within > 0:
            raise SettingsError(f"slo {self.name!r}: within={self.within!r} must be above 0 seconds")
        if not DAY <= self.window <= LONGEST_WINDOW:
            raise SettingsError(f"slo {self.name!r}: window={self.window!r} must be 1 to 90 days, in seconds")

    @property
    def budget(self) -> float:
        """The part of its jobs that may be bad."""
        return 1.0 - self.target


class Count(Struct, frozen=True):
    """Good and bad ones of a stretch of time."""

    good: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.good + self.bad

    @property
    def bad_share(self) -> float:
        """The part that was bad, 0 to 1; 0 when there was none."""
        return self.bad / self.total if self.total else 0.0


class BurnWindow(Struct, frozen=True):
    """A pair of windows, in seconds: the long one says that it matters, the short one that it still goes on.

    Attributes:
        name: What messages call it.
        long: The long window.
        short: The short window, a twelfth of it.
        share: The part of the whole budget that may burn in the long window.
    """

    name: str
    long: float
    short: float
    share: float


#: The workbook's table 5-8: 2 % of the budget in an hour, 5 % in six, 10 % in three days.
WINDOWS = (
    BurnWindow("fast", HOUR, 5 * MINUTE, 0.02),
    BurnWindow("medium", 6 * HOUR, 30 * MINUTE, 0.05),
    BurnWindow("slow", 3 * DAY, 6 * HOUR, 0.10),
)


def burn_rate(slo: Slo, count: Count) -> float:
    """Return how many times as fast as allowed the budget burns: 1 uses it up in exactly the objective's window."""
    return count.bad_share / slo.budget


def burnt_share(slo: Slo, window: BurnWindow, long: Count, short: Count) -> float:
    """Return the part of the budget that goes in the long window at the lower speed of the two windows, 0 and up."""
    rate = min(burn_rate(slo, long), burn_rate(slo, short))
    return rate * min(window.long, slo.window) / slo.window


class SloState(Struct, frozen=True):
    """An objective and where it stands.

    Attributes:
        slo: The objective.
        good: Jobs of its window that were good.
        bad: Jobs of it that failed for good or came too late.
        attained: The part that was good; 1.0 with no jobs.
        budget_left: The part of the error budget that is left: 1 for all, below 0 when it is overdrawn.
        burn: How fast it burns now, in times as fast as allowed, over the last hour.
    """

    slo: Slo
    good: int
    bad: int
    attained: float
    budget_left: float
    burn: float


def state_of(slo: Slo, whole: Count, hour: Count) -> SloState:
    """Return where an objective stands.

    Args:
        slo: The objective.
        whole: What its window counts.
        hour: What the last hour counts.
    """
    left = 1.0 - whole.bad_share / slo.budget
    return SloState(slo, whole.good, whole.bad, 1.0 - whole.bad_share, left, burn_rate(slo, hour))
