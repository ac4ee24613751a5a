"""A signal wakes the event loop of a worker's main process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from kombu.asynchronous.hub import Hub

from perdure_workers.worker.signal_wakeup import SignalWakeup, sleep_through_signals

#: Seconds that a loop sleeps which nobody wakes.
LONG = 60.0


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that came."""
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: came.append(number))
    yield came
    signal.signal(signal.SIGUSR1, before)
    sleep_through_signals()


def test_an_event_loop_that_sleeps_goes_round_when_a_signal_comes(heard: list[int]) -> None:
    hub = Hub()
    SignalWakeup().register(hub)
    hub.timer.call_after(LONG, lambda: None)
    began, loop = time.monotonic(), hub.create_loop()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    while not heard:
        next(loop)
    assert time.monotonic() - began < LONG / 2
    hub.close()
