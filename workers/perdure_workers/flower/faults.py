"""Faults that dead letters are of, as somebody wants to know them at night: which grow, and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.dead_letter_notices import GROWTH, is_new
from perdure.model.dead_letter_notices import growth as times_as_usual
from perdure.model.states import DeadReason

#: What to do next about letters that were given up for a reason.
_NEXT = {
    DeadReason.EXHAUSTED: "Read its newest error. When the cause is mended, replay this fault: canaries first.",
    DeadReason.DISCARDED: "The job itself gave up. Read why; then mend its arguments and replay, or discard.",
    DeadReason.CRASHED: "It kills its worker. See what it needs (memory?) before anything is replayed.",
    DeadReason.TIMEOUT: "It takes longer than it may. See what it waits for, or raise its timeout; then replay.",
    DeadReason.NO_QUORUM: "Its replicas gave different answers. Read them in its newest letter.",
    DeadReason.UNKNOWN_TASK: "No worker knows its task. Start workers of the release that has it; then replay.",
    DeadReason.MALFORMED: "Somebody sent what is no job. Find who; then discard.",
    DeadReason.EXPIRED: "Its deadline passed before it could run. See why it waited; replay what still matters.",
    DeadReason.HANDED_BACK: "It outlasts every drain and keeps nothing. Have it save checkpoints, or raise drain_timeout.",
}


@dataclass(frozen=True, slots=True)
class FaultView:
    """A fault as the overview shows it; ``growth`` is ``regressed``, ``new``, ``growing`` or empty."""

    group: DeadLetterGroup
    growth: str
    todo: str


def growth(group: DeadLetterGroup, now: datetime) -> str:
    """Return ``regressed`` for a fault that came back with a release, ``new`` for one of the last hour, ``growing`` if its
    last hours are the worse ones, else nothing.
    """
    if group.regressed_at is not None:
        return "regressed"
    if is_new(group, now):
        return "new"
    return "growing" if times_as_usual(group) > GROWTH else ""


def fault_views(groups: Sequence[DeadLetterGroup], now: datetime, most: int) -> list[FaultView]:
    """Return the faults that matter most: those that grow, then those with the most open letters."""
    unique = {group.fingerprint: group for group in groups}
    views = [FaultView(group, growth(group, now), next_step(group.reason)) for group in unique.values()]
    return sorted(views, key=lambda view: (not view.growth, -view.group.open))[:most]


def next_step(reason: str) -> str:
    """Return what to do about letters that were given up for a reason."""
    return next((text for known, text in _NEXT.items() if known == reason), "Read its newest letter.")
