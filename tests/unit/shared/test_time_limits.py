"""Time limits that the main process sets reach the children, which were forked before."""

from __future__ import annotations

import multiprocessing

import pytest

from perdure_workers.shared.time_limits import TimeLimits

FORK = multiprocessing.get_context("fork")


def test_there_is_none_until_it_is_set() -> None:
    limits = TimeLimits()
    assert limits.of("t") is None
    limits.set("t", 1.5)
    limits.set("u", 2.0)
    limits.set("t", 3.0)
    assert (limits.of("t"), limits.of("u"), limits.of("v")) == (3.0, 2.0, None)


def test_a_child_that_was_forked_before_sees_each_change() -> None:
    limits = TimeLimits()
    ask, told = FORK.Pipe()

    def child() -> None:
        while (task := told.recv()) is not None:
            told.send(limits.of(task))

    process = FORK.Process(target=child)
    process.start()
    found = []
    for seconds in (1.0, 2.5, 0.25):
        limits.set("t\u00e9", seconds)
        ask.send("t\u00e9")
        found.append(ask.recv())
    ask.send("other")
    found.append(ask.recv())
    ask.send(None)
    process.join(10)
    assert found == [1.0, 2.5, 0.25, None]


def test_limits_that_do_not_fit_are_refused_and_the_others_stay() -> None:
    limits = TimeLimits()
    limits.set("t", 1.0)
    with pytest.raises(ValueError, match="too many time limits"):
        limits.set("x" * 70_000, 1.0)
    assert limits.of("t") == 1.0
    assert limits.of("x" * 70_000) is None
