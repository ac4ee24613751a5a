"""Notices about dead letters: a new fault, one that grows, replays that fail again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from perdure.ledger.letter_groups import Seen

if TYPE_CHECKING:
    from perdure.app import Perdure

logger = logging.getLogger("perdure.dead_letters")

#: A group has grown when it was seen so often, and each time that its count has doubled since.
GROWN = 10


class LetterNoticeKind(StrEnum):
    """What is to be noticed."""

    NEW_GROUP = "new_group"
    GROWTH = "growth"
    BOOMERANG = "boomerang"


@dataclass(frozen=True, slots=True)
class LetterNotice:
    """Something to be noticed about the dead letters of one fault.

    Attributes:
        kind: ``new_group``: it was never seen before; ``growth``: its count reached 10 or doubled since the last such
            notice; ``boomerang``: replays died of it.
        fingerprint: The fault.
        task: The task that it was seen in first.
        error_type: Its exception's type.
        error: The message of its first letter.
        count: How often it was seen.
        boomerangs: How many replays died of it.
        added: By how much the count (for a boomerang: the boomerangs) grew since the last look.
    """

    kind: LetterNoticeKind
    fingerprint: str
    task: str
    error_type: str | None
    error: str | None
    count: int
    boomerangs: int
    added: int


def notices_of(group: Seen) -> tuple[list[LetterNotice], int]:
    """Return what is to be noticed about a group, and the count of its last growth. Pure."""
    kinds: list[tuple[LetterNoticeKind, int]] = []
    added, boomerangs = group.count - group.noticed, group.boomerangs - group.noticed_boomerangs
    grown_at = group.grown_at
    if group.noticed == 0:
        kinds.append((LetterNoticeKind.NEW_GROUP, added))
    if group.count >= max(GROWN, 2 * grown_at):
        kinds.append((LetterNoticeKind.GROWTH, added))
        grown_at = group.count
    if boomerangs > 0:
        kinds.append((LetterNoticeKind.BOOMERANG, boomerangs))
    about = (group.fingerprint, group.task, group.error_type, group.error, group.count, group.boomerangs)
    return [LetterNotice(kind, *about, by) for kind, by in kinds], grown_at


class LetterNotices:
    """Finds notices and passes them on, each by one process only.

    Args:
        app: The application.
    """

    def __init__(self, app: Perdure) -> None:
        self._app = app
        self._subscribers: list[Callable[[LetterNotice], object]] = [_log]

    def subscribe(self, subscriber: Callable[[LetterNotice], object]) -> Callable[[LetterNotice], object]:
        """Call a function with each notice and return it."""
        self._subscribers.append(subscriber)
        return subscriber

    def look(self) -> int:
        """Pass on what nobody was told of yet and return how many notices that was."""
        told = 0
        for group in self._app.ledger.unnoticed_groups():
            notices, grown_at = notices_of(group)
            if self._app.ledger.notice_group(group, grown_at):
                told += len(notices)
                for notice in notices:
                    self._tell(notice)
        return told

    def _tell(self, notice: LetterNotice) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(notice)
            except Exception:
                logger.exception("subscriber %r failed on %s", subscriber, notice)


def _log(notice: LetterNotice) -> None:
    logger.warning(
        "dead letters, %s: %s %s: %s (%d in all, %d of them replays)",
        notice.kind,
        notice.task,
        notice.fingerprint,
        notice.error_type,
        notice.count,
        notice.boomerangs,
    )
