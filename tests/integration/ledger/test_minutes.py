"""Counts by minute and hour: what is added up, what is read of them, and what goes."""

from __future__ import annotations

from functools import partial

from perdure.ledger import Ledger, minutes
from perdure.ledger.minutes import HOUR, MINUTE
from perdure.model.alerts.slo import Count

DAY = 86_400.0
FOUND = {"slo:a": Count(3, 1), "slo:b": Count(1, 0)}


def add(ledger: Ledger, start: float, *spans: int) -> None:
    ledger.direct(lambda c: minutes.add(c, FOUND, start, spans))


def test_counts_are_added_to_their_minute_and_hour(ledger: Ledger) -> None:
    now = ledger.clock()
    for _ in range(2):
        add(ledger, now, MINUTE, HOUR)
    wanted = ["slo:a", "slo:of nothing"]
    for span in (MINUTE, HOUR):
        assert ledger.direct(partial(minutes.sums, span=span, since=now, series=wanted)) == {"slo:a": Count(6, 2)}
        assert ledger.direct(partial(minutes.sums, span=span, since=now + 2 * span, series=wanted)) == {}
    minute = int(now // MINUTE)
    each = ledger.direct(lambda c: minutes.each_of(c, minutes.SLO, minute * MINUTE))
    assert each == {"a": {minute: Count(6, 2)}, "b": {minute: Count(2, 0)}}
    assert ledger.direct(lambda c: minutes.each_of(c, minutes.SERVICE, 0.0)) == {}


def test_the_first_depth_of_a_minute_stays(ledger: Ledger) -> None:
    then = 1_000 * MINUTE + 5.0
    for now, depth in ((then, 7), (then + 10, 8), (then + MINUTE, 9)):
        ledger.direct(partial(minutes.note_depths, now=now, depths={"normal": depth}))
    for before, depth in ((30, 9), (60, 7), (100, 7)):
        found = ledger.direct(partial(minutes.recent, now=then + 95, window=60, before=before))
        assert found == ({}, {"normal": depth})
    assert ledger.direct(lambda c: minutes.recent(c, then + 95, 60, 120)) == ({}, {})


def test_what_nothing_looks_at_any_more_goes_page_by_page(ledger: Ledger) -> None:
    now = ledger.clock()
    add(ledger, now, MINUTE, HOUR)
    add(ledger, now - 2 * DAY, MINUTE, HOUR)
    add(ledger, now - 101 * DAY, MINUTE, HOUR)
    assert [ledger.direct(lambda c: minutes.prune(c, 2)) for _ in range(3)] == [4, 2, 0]
    assert len(ledger.direct(lambda c: minutes.each_of(c, minutes.SLO, 0.0))["a"]) == 1
    hours = ledger.direct(lambda c: minutes.sums(c, HOUR, 0.0, list(FOUND)))
    assert hours == {series: Count(2 * count.good, 2 * count.bad) for series, count in FOUND.items()}
