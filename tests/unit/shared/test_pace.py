"""What may take long is kept to a part of the time."""

from __future__ import annotations

import time

import pytest

from perdure_workers.shared.pace import Pace
from support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


def take(clock: Clock, pace: Pace, seconds: float) -> None:
    def work() -> None:
        clock.now += seconds

    pace.timed(work)


def test_it_rests_in_proportion_to_how_long_it_took_and_no_longer_than_it_may(clock: Clock) -> None:
    pace = Pace(rest=10.0, longest=5.0)
    assert pace.is_due
    for seconds, rest in ((0.2, 2.0), (3.0, 5.0)):
        take(clock, pace, seconds)
        assert not pace.is_due
        clock.now += rest - 0.01
        assert not pace.is_due
        clock.now += 0.02
        assert pace.is_due


def test_what_was_short_needs_no_rest_and_a_rest_can_be_ended(clock: Clock) -> None:
    pace = Pace(rest=10.0, longest=5.0, shortest=0.5)
    take(clock, pace, 0.5)
    assert pace.is_due
    take(clock, pace, 1.0)
    assert not pace.is_due
    pace.end_rest()
    assert pace.is_due


def test_what_fails_rests_as_well(clock: Clock) -> None:
    def fail() -> None:
        clock.now += 1.0
        raise RuntimeError

    pace = Pace(rest=10.0, longest=5.0)
    with pytest.raises(RuntimeError):
        pace.timed(fail)
    assert not pace.is_due
