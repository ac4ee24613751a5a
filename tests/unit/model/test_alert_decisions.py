"""When alerts begin, fire and end, and who is told: with a fake clock, and no I/O."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from perdure.model.alerts.alert import Alert, Phase
from perdure.model.alerts.decide import FORGOTTEN, Change, Step, decide_all
from perdure.model.alerts.notice import Event, Notice, Route, Silence, event_of, notices, told
from perdure.model.alerts.rule import Measured, Rule, Severity

NORMAL = {"bulkhead": "normal"}
DEEP = Rule("deep", "depth", Severity.WARNING, "Look.", above=10, clear=5, hold=60, keep=30)
ANYBODY = [Route("ops")]


class Platform:
    """Looks at one rule again and again, as the ledger would keep what comes of it."""

    def __init__(self, *rules: Rule, routes: Sequence[Route] = ANYBODY) -> None:
        self.rules, self.routes = list(rules or (DEEP,)), routes
        self.alerts: dict[str, Alert] = {}
        self.history: list[Alert] = []
        self.sent: list[Notice] = []
        self.silences: list[Silence] = []
        self._ids = map(str, itertools.count())

    def look(self, now: float, *values: float | Measured, unknown: bool = False) -> list[Step]:
        found = [one if isinstance(one, Measured) else Measured(NORMAL, one, f"{one:g} wait") for one in values]
        measured = {rule.measure: None if unknown else found for rule in self.rules}
        before = {alert.id: alert.told for alert in self.alerts.values()}
        changes = decide_all(self.rules, list(self.alerts.values()), measured, now, lambda: next(self._ids))
        changes = told(changes, [silence for silence in self.silences if silence.ends_at > now])
        self._keep(changes)
        events = [(event_of(change, before.get(change.alert.id, False)), change.alert) for change in changes]
        self.sent += notices([(event, alert) for event, alert in events if event is not None], self.routes)
        return [change.step for change in changes]

    def _keep(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.alerts.pop(change.alert.id, None)
            if change.step is Step.RESOLVE:
                self.history.append(change.alert)
            elif change.step is not Step.DROP:
                self.alerts[change.alert.id] = change.alert

    @property
    def told(self) -> list[tuple[str, str, int]]:
        return [(notice.notifier, notice.event.value, len(notice.alerts)) for notice in self.sent]


def test_an_alert_fires_when_it_was_bad_for_long_enough_and_is_told_once() -> None:
    platform = Platform()
    assert platform.look(0, 11) == [Step.OPEN]
    assert platform.look(59, 12) == [Step.KEEP]
    assert platform.told == []
    assert platform.look(60, 13) == [Step.FIRE]
    assert platform.look(70, 14) == [Step.KEEP]
    [alert] = platform.alerts.values()
    assert (alert.phase, alert.since, alert.fired_at, alert.message) == (Phase.FIRING, 0, 60, "14 wait")
    assert platform.told == [("ops", "firing", 1)]


def test_what_was_bad_for_a_moment_is_forgotten() -> None:
    platform = Platform()
    platform.look(0, 11)
    assert platform.look(30, 10) == [Step.DROP]
    assert platform.look(70, 11) == [Step.OPEN]
    assert platform.look(100) == [Step.DROP]
    assert platform.told == []


def test_a_value_between_end_and_threshold_keeps_what_fires_and_begins_nothing() -> None:
    platform = Platform(replace(DEEP, hold=0))
    assert platform.look(0, 7) == []
    platform.look(1, 11)
    assert platform.look(100, 7) == [Step.KEEP]
    assert platform.look(200, 5) == [Step.KEEP]
    assert platform.look(220, 7) == [Step.KEEP], "not good for long enough: it begins anew"
    assert platform.look(230, 5) == [Step.KEEP]
    assert platform.look(260, 5) == [Step.RESOLVE]
    assert platform.history[0].resolved_at == 260
    assert platform.told == [("ops", "firing", 1), ("ops", "resolved", 1)]


def test_what_is_gone_is_over_and_the_next_time_is_another_alert() -> None:
    platform = Platform(replace(DEEP, hold=0, keep=0))
    platform.look(0, 11)
    assert platform.look(10) == [Step.RESOLVE]
    assert platform.look(20, 11) == [Step.OPEN]
    assert platform.history[0].id not in platform.alerts
    assert [event for _, event, _ in platform.told] == ["firing", "resolved", "firing"]


def test_what_could_not_be_measured_stays_as_it_is() -> None:
    platform = Platform(replace(DEEP, hold=0, keep=0))
    platform.look(0, 11)
    assert platform.look(10, unknown=True) == []
    assert platform.look(20, 12) == [Step.KEEP]


def test_below_is_the_other_way_round() -> None:
    platform = Platform(replace(DEEP, above=None, below=10, clear=20, hold=0, keep=0))
    assert platform.look(0, 10) == []
    assert platform.look(1, 9) == [Step.OPEN]
    assert platform.look(2, 15) == [Step.KEEP]
    assert platform.look(3, 20) == [Step.RESOLVE]


def test_a_rule_that_is_switched_off_ends_its_alerts_and_one_of_another_release_does_not() -> None:
    platform = Platform(replace(DEEP, hold=0, keep=0))
    platform.look(0, 11)
    platform.rules = []
    assert platform.look(100) == []
    assert platform.look(FORGOTTEN + 1) == [Step.RESOLVE]
    platform.rules = [replace(DEEP, hold=0, keep=0)]
    platform.look(5000, 11)
    platform.rules = [replace(DEEP, hold=0, keep=0, enabled=False)]
    assert platform.look(5010, 11) == [Step.RESOLVE]


def test_a_rule_looks_at_what_it_matches_only() -> None:
    rule = replace(DEEP, hold=0, match={"bulkhead": "critical"})
    platform = Platform(rule)
    assert platform.look(0, 11) == []
    assert platform.look(1, 11, Measured({"bulkhead": "critical"}, 11, "!")) == [Step.OPEN]


def test_what_fires_together_is_one_message_for_each_who_wants_it() -> None:
    mild = replace(DEEP, name="mild", severity=Severity.INFO, hold=0)
    bad = replace(DEEP, name="bad", severity=Severity.CRITICAL, hold=0)
    routes = [Route("all", Severity.INFO), Route("pager", Severity.CRITICAL), Route("own", Severity.INFO, ["mi*"])]
    platform = Platform(mild, bad, routes=routes)
    platform.look(0, Measured({"bulkhead": "a"}, 11, "!"), Measured({"bulkhead": "b"}, 11, "!"))
    sent = sorted((notice.notifier, notice.rule, len(notice.alerts)) for notice in platform.sent)
    assert sent == [("all", "bad", 2), ("all", "mild", 2), ("own", "mild", 2), ("pager", "bad", 2)]


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_fires() -> None:
    platform = Platform(replace(DEEP, hold=0, keep=0))
    platform.silences = [Silence("s", "de*", NORMAL, "deploy", "ann", 0, 100)]
    other = Measured({"bulkhead": "other"}, 11, "!")
    platform.look(0, 11, other)
    assert platform.told == [("ops", "firing", 1)]
    assert platform.sent[0].alerts[0].labels == other.labels
    platform.look(99, 11, other)
    assert len(platform.told) == 1
    platform.look(101, 11, other)
    assert platform.told[1:] == [("ops", "firing", 1)]
    platform.look(110)
    assert platform.told[2:] == [("ops", "resolved", 2)]


def test_the_end_of_what_nobody_was_told_of_is_not_told() -> None:
    platform = Platform(replace(DEEP, hold=0, keep=0))
    platform.silences = [Silence("s", "*", {}, "", "ann", 0, 100)]
    platform.look(0, 11)
    assert platform.look(50) == [Step.RESOLVE]
    assert platform.told == []
    assert [alert.told for alert in platform.history] == [False]


@given(st.lists(st.tuples(st.floats(1, 100), st.none() | st.integers(0, 20)), max_size=60), st.sampled_from([0.0, 60.0]))
def test_whatever_the_values_each_beginning_has_one_end(looks: list[tuple[float, Any]], hold: float) -> None:
    platform, now = Platform(replace(DEEP, hold=hold)), 0.0
    for seconds, value in looks:
        now += seconds
        platform.look(now, *([] if value is None else [value]))
        assert len(platform.alerts) <= 1
    for _ in range(2):
        now += 1000
        platform.look(now)
    events = [notice.event for notice in platform.sent]
    assert events == [Event.FIRING, Event.RESOLVED] * (len(events) // 2)
    assert platform.alerts == {}


@pytest.mark.parametrize(("changes", "is_over"), [({"clear": 5}, 5), ({"clear": None}, 10)])
def test_where_it_is_over(changes: dict[str, Any], is_over: float) -> None:
    rule = replace(DEEP, **changes)
    assert rule.is_good(is_over)
    assert not rule.is_good(is_over + 0.1)
    assert not rule.is_bad(is_over)
