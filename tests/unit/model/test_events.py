"""Each subscriber gets each event; one that fails stops nobody."""

from __future__ import annotations

import logging

import pytest

from perdure.model.events import EventBus, JobEvent
from perdure.model.states import JobState, Transition


def event(target: JobState = JobState.QUEUED, reason: str = "") -> JobEvent:
    return JobEvent("j-1", "shop.buy", "normal", Transition.DIE, JobState.RUNNING, target, 2, reason)


def test_every_subscriber_gets_every_event_in_order() -> None:
    bus, first, second = EventBus(), [], []  # type: ignore[var-annotated]
    bus.subscribe(first.append)
    bus.subscribe(second.append)
    events = [event(), event(JobState.DEAD)]
    for one in events:
        bus.emit(one)
    assert first == second == events


def test_a_subscriber_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, got = EventBus(), []  # type: ignore[var-annotated]

    def broken(_event: JobEvent) -> None:
        raise RuntimeError("subscriber is broken")

    bus.subscribe(broken)
    bus.subscribe(got.append)
    bus.emit(event())
    assert got == [event()]
    assert "subscriber is broken" in caplog.text


def test_unsubscribing_ends_it_also_from_within() -> None:
    bus, got = EventBus(), []  # type: ignore[var-annotated]

    def once(one: JobEvent) -> None:
        got.append(one)
        end()

    end = bus.subscribe(once)
    others: list[JobEvent] = []
    bus.subscribe(others.append)
    bus.emit(event())
    bus.emit(event())
    assert (len(got), len(others)) == (1, 2)


def test_who_subscribes_to_some_states_hears_of_those_alone() -> None:
    bus, got = EventBus(), []  # type: ignore[var-annotated]
    end = bus.subscribe(got.append, [JobState.DEAD])
    bus.emit(event(JobState.RUNNING))
    bus.emit(event(JobState.DEAD))
    assert [one.target for one in got] == ["dead"]
    end()
    bus.emit(event(JobState.DEAD))
    assert len(got) == 1


def test_nothing_has_to_be_made_for_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "perdure.events")
    bus = EventBus()
    assert [state for state in JobState if bus.hears(state)] == ["dead"]  # of which the log warns
    end = bus.subscribe(print, [JobState.RUNNING])
    assert [state for state in JobState if bus.hears(state)] == ["running", "dead"]
    end()
    assert not bus.hears(JobState.RUNNING)
    caplog.set_level(logging.DEBUG, "perdure.events")
    assert all(bus.hears(state) for state in JobState)


def test_unsubscribing_twice_is_fine() -> None:
    bus = EventBus()
    end = bus.subscribe(print)
    end()
    end()


@pytest.mark.parametrize(("target", "level"), [(JobState.DEAD, logging.WARNING), (JobState.SUCCEEDED, logging.DEBUG)])
def test_events_are_logged_and_a_death_as_a_warning(caplog: pytest.LogCaptureFixture, target: JobState, level: int) -> None:
    with caplog.at_level(logging.DEBUG, "perdure.events"):
        EventBus().emit(event(target, "why"))
    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage() == f"shop.buy j-1 running -> {target}: why"
