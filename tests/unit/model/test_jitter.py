"""Children of one process draw different jitter, whatever was drawn before the fork."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from perdure import RetryPolicy
from perdure.model.jitter import JITTER
from perdure.resilience.retry.retrying import Retrying

POLICY = RetryPolicy(max_retries=3, base=100, max_delay=100)


def drawn_in_a_child(draw: Callable[[], float]) -> str:
    """Return what a forked child draws."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(draw()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def of_a_call_in_place() -> Callable[[], float]:
    slept: list[float] = []
    retrying = Retrying(POLICY, sleep=slept.append)

    def draw() -> float:
        with pytest.raises(OSError, match="down"):
            retrying.call(_fail)
        return slept[-1]

    return draw


def _fail() -> None:
    raise OSError("down")


@pytest.mark.parametrize(
    "draw",
    [JITTER.random, lambda: POLICY.delay(1), of_a_call_in_place()],
    ids=["jitter", "a job's retry", "a call's retry in place"],
)
def test_children_draw_different_delays(draw: Callable[[], float]) -> None:
    draw()  # what was drawn before the fork must not matter
    drawn = [drawn_in_a_child(draw) for _ in range(4)]
    assert len({*drawn, repr(draw())}) == 5
