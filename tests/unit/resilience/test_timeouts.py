"""Timeouts: nested ones are capped, threads that run on are reported, coroutines are really cancelled."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from threading import Event

import pytest

from perdure.errors import BulkheadFull, SettingsError
from perdure.resilience.service.deadline import deadline, remaining
from perdure.resilience.service.timeouts import OperationTimeout, Timeout, TimeoutEvent, Timeouts, TimeoutsConfig


def test_results_and_errors_pass_through() -> None:
    timeout = Timeout("pay", 30)
    assert timeout.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        timeout.call(divmod, 1, 0)


def test_a_call_that_runs_on_is_reported(until: Callable[..., None]) -> None:
    timeout, go_on = Timeout("pay", 0.05, max_abandoned=1), Event()
    events: list[TimeoutEvent] = []
    timeout.listen(events.append)
    with pytest.raises(OperationTimeout, match="still running") as raised:
        timeout.call(go_on.wait, 20)
    assert raised.value.still_running
    assert isinstance(raised.value, TimeoutError)
    assert timeout.snapshot().abandoned == 1
    with pytest.raises(BulkheadFull, match="still run"):
        timeout.call(int)
    go_on.set()
    until(lambda: timeout.snapshot().abandoned == 0, "the thread to end")
    until(lambda: len(events) == 2, "the late finish")
    assert [event.kind for event in events] == ["timed_out", "finished_late"]
    assert timeout.call(int) == 0


def test_nested_timeouts_are_capped_by_what_is_left() -> None:
    def inner() -> float | None:
        return Timeout("inner", 1000).call(remaining)

    left = Timeout("outer", 5).call(inner)
    assert left is not None
    assert 0 < left <= 5
    assert Timeout("short", 1).call(remaining) <= 1  # type: ignore[operator]
    assert remaining() is None


def test_nothing_starts_when_no_time_is_left() -> None:
    with deadline(0), pytest.raises(OperationTimeout, match="not started") as raised:
        Timeout("pay", 5).call(pytest.fail)
    assert not raised.value.still_running


def test_without_any_limit_it_runs_right_here() -> None:
    import threading

    assert Timeout("pay", None).call(threading.current_thread) is threading.current_thread()


def test_coroutines_are_cancelled() -> None:
    cancelled: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def own_timeout() -> None:
        raise TimeoutError("mine")

    async def run() -> None:
        timeout = Timeout("pay", 0.02)
        with pytest.raises(OperationTimeout) as raised:
            await timeout.call_async(hang)
        assert not raised.value.still_running
        with pytest.raises(TimeoutError, match="mine"):
            await timeout.call_async(own_timeout)
        with deadline(3):
            left = await Timeout("inner", 1000)(left_inside)()
        assert left is not None
        assert left <= 3

    async def left_inside() -> float | None:
        return remaining()

    asyncio.run(run())
    assert cancelled == [True]


def test_named_timeouts_have_defaults() -> None:
    timeouts = Timeouts(TimeoutsConfig(default=7, operations={"pay": 3}))
    assert (timeouts["pay"].seconds, timeouts["other"].seconds) == (3, 7)
    assert timeouts["pay"] is timeouts["pay"]
    assert [snapshot.name for snapshot in timeouts.snapshots()] == ["other", "pay"]
    with pytest.raises(SettingsError):
        TimeoutsConfig(operations={"pay": 0})


def test_the_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(OperationTimeout("pay", 3, still_running=True)))
    assert (error.name, error.seconds, error.still_running) == ("pay", 3, True)


def test_a_timeout_can_be_changed_while_the_process_runs() -> None:
    timeouts = Timeouts(TimeoutsConfig(default=30, operations={"report": 20}))
    known = timeouts["report"]
    timeouts.set_timeout("report", 0.01)
    timeouts.set_timeout("new", None)
    hang = Event()
    with pytest.raises(OperationTimeout):
        known.call(hang.wait, 20)
    hang.set()
    assert {each.name: each.seconds for each in timeouts.snapshots()} == {"report": 0.01, "new": None}
    with pytest.raises(SettingsError, match="timeout 'report' must be a finite number above 0"):
        timeouts.set_timeout("report", float("nan"))
    with pytest.raises(SettingsError, match="timeout 'report'"):
        TimeoutsConfig(operations={"report": float("inf")})
