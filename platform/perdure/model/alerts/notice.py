"""Who is told what: alerts that begin or end together are one notice, silenced ones wait, each notifier takes its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.decide import Change, Step
from perdure.model.alerts.rule import Severity


class Event(StrEnum):
    """What a notice says."""

    FIRING = "firing"
    RESOLVED = "resolved"
    TEST = "test"


class Silence(Struct, frozen=True):
    """Somebody's wish to hear nothing of some alerts for a while. Times are epoch seconds.

    Attributes:
        id: Its id.
        rule: The alerts' name; ``*`` and ``?`` stand for anything.
        labels: Labels that an alert must have.
        reason: Why.
        by: Who wished so.
        created_at: Since when.
        ends_at: Until when.
    """

    id: str
    rule: str
    labels: Mapping[str, str]
    reason: str
    by: str
    created_at: float
    ends_at: float

    def covers(self, alert: Alert) -> bool:
        """Return whether an alert is one of those."""
        return fnmatchcase(alert.rule, self.rule) and self.labels.items() <= alert.labels.items()


class Route(Struct, frozen=True):
    """What a notifier is told.

    Attributes:
        notifier: Its name.
        severity: The mildest severity that it is told of.
        rules: Names of rules that it is told of, with ``*`` and ``?`` for anything.
    """

    notifier: str
    severity: Severity = Severity.WARNING
    rules: Sequence[str] = ("*",)

    def takes(self, alert: Alert) -> bool:
        """Return whether the notifier is told of an alert."""
        return alert.severity.rank >= self.severity.rank and any(fnmatchcase(alert.rule, rule) for rule in self.rules)


class Notice(Struct, frozen=True):
    """What one notifier is told at once.

    Attributes:
        notifier: The notifier.
        rule: The rule of all its alerts.
        event: Whether they fire or are over.
        alerts: The alerts.
    """

    notifier: str
    rule: str
    event: Event
    alerts: tuple[Alert, ...]


def told(changes: Iterable[Change], silences: Sequence[Silence]) -> list[Change]:
    """Return changes with a note on each alert that somebody is to be told of now.

    An alert that fires while it is silenced is told of when the silence ends, if it still fires then. The end of one that
    nobody was told of is not told.
    """

    def noted(change: Change) -> Change:
        alert = change.alert
        if alert.phase is not Phase.FIRING or alert.told or any(silence.covers(alert) for silence in silences):
            return change
        return replace(change, alert=replace(alert, told=True))

    return [noted(change) for change in changes]


def event_of(change: Change, told_before: bool) -> Event | None:
    """Return what is to be told of a change; None for nothing.

    Args:
        change: The change.
        told_before: Whether notifiers knew of the alert before it.
    """
    if change.step is Step.RESOLVE:
        return Event.RESOLVED if told_before else None
    return Event.FIRING if change.alert.told and not told_before else None


def notices(news: Iterable[tuple[Event, Alert]], routes: Sequence[Route]) -> list[Notice]:
    """Return what each notifier is told: one notice for the alerts of a rule that fire, or are over, at the same time."""
    grouped: dict[tuple[str, str, Event], list[Alert]] = {}
    for event, alert in news:
        for route in routes:
            if route.takes(alert):
                grouped.setdefault((route.notifier, alert.rule, event), []).append(alert)
    return [Notice(*group, tuple(alerts)) for group, alerts in grouped.items()]
