"""What is worth telling somebody about dead letters: faults that are new, grow or come back, replays that died again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from perdure.model.dead_letter import DeadLetterGroup

logger = logging.getLogger("perdure.dead_letters")

#: A fault is told of again each time that its letters have doubled, from this many on.
GROWTH, GROWTH_FROM = 2, 10


class NoticeKind(StrEnum):
    """What happened to a fault."""

    NEW_GROUP = "new_group"
    GROWTH = "growth"
    BOOMERANG = "boomerang"
    REGRESSION = "regression"


class DeadLetterNotice(Struct, frozen=True):
    """Something about a fault that somebody should know.

    Attributes:
        kind: What happened.
        group: The fault as it is now.
        before: Its letters (or boomerangs) when it was told of last; 0 for a new one.
        now: How many there are now.
    """

    kind: NoticeKind
    group: DeadLetterGroup
    before: int
    now: int

    def __str__(self) -> str:
        group = self.group
        what = {
            NoticeKind.NEW_GROUP: f"a new fault, {self.now} dead letters",
            NoticeKind.GROWTH: f"grew from {self.before} to {self.now} dead letters",
            NoticeKind.REGRESSION: f"came back with release {group.regressed_in}, after it had been dealt with",
            NoticeKind.BOOMERANG: f"{self.now - self.before} replays died again, {self.now} in all",
        }[self.kind]
        return f"{group.task} {group.error_type}: {what}. See: perdure dead list --fingerprint {group.fingerprint}"


def notices_of(
    group: DeadLetterGroup, seen_before: int, boomerangs_before: int, regressions_before: int = 0
) -> list[DeadLetterNotice]:
    """Return what there is to tell of a fault, given what was told last; a pure decision.

    Args:
        group: The fault now.
        seen_before: Letters that it had when it was told of as new or grown; 0 for never.
        boomerangs_before: Boomerangs that were told of.
        regressions_before: Regressions that were told of.
    """
    notices = []
    if seen_before == 0:
        notices.append(DeadLetterNotice(NoticeKind.NEW_GROUP, group, 0, group.seen))
    elif group.seen >= max(GROWTH_FROM, GROWTH * seen_before):
        notices.append(DeadLetterNotice(NoticeKind.GROWTH, group, seen_before, group.seen))
    if group.boomerangs > boomerangs_before:
        notices.append(DeadLetterNotice(NoticeKind.BOOMERANG, group, boomerangs_before, group.boomerangs))
    if group.regressions > regressions_before:
        notices.append(DeadLetterNotice(NoticeKind.REGRESSION, group, regressions_before, group.regressions))
    return notices


def is_new(group: DeadLetterGroup, now: datetime) -> bool:
    """Return whether a fault was first seen in the last hour."""
    return group.first_seen is not None and now - group.first_seen < timedelta(hours=1)


def growth(group: DeadLetterGroup) -> float:
    """Return how many times as many letters as usual came in the last two hours; 0.0 when they are few.

    What is usual are the hours of its trend before, and one letter an hour at least.
    """
    recent, before = sum(group.trend[-2:]), group.trend[:-2]
    usual = sum(before) / len(before) if before else 0.0
    return recent / max(usual * 2, 1.0) if recent >= GROWTH_FROM else 0.0


class Notices:
    """Passes notices on to subscribers in this process; one that fails stops nobody else."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[DeadLetterNotice], object]] = []

    def subscribe(self, subscriber: Callable[[DeadLetterNotice], object], kind: NoticeKind | None = None) -> None:
        """Call a function with each notice from now on, or with those of one kind."""
        self._subscribers.append(lambda notice: subscriber(notice) if kind in (None, notice.kind) else None)

    def emit(self, notice: DeadLetterNotice) -> None:
        """Log a notice and pass it on."""
        logger.warning("%s", notice)
        for subscriber in list(self._subscribers):
            try:
                subscriber(notice)
            except Exception:
                logger.exception("subscriber %r failed on %s", subscriber, notice)
