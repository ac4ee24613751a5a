"""Threads that do something again and again wake together."""

from __future__ import annotations

import pytest

from perdure_workers import timers
from perdure_workers.timers import until_next


@pytest.mark.parametrize(
    ("elapsed", "period", "waits"),
    [
        pytest.param(0.0, 1.0, 1.0, id="at the beginning"),
        pytest.param(7.3, 1.0, 0.7, id="in the middle of a period"),
        pytest.param(7.3, 10.0, 2.7, id="of a longer one, at the same moment as others"),
        pytest.param(7.95, 1.0, 1.05, id="a little before the next one, which is left out"),
    ],
)
def test_the_next_multiple_of_a_period(elapsed: float, period: float, waits: float) -> None:
    assert until_next(period, lambda: timers._BEGAN + elapsed) == pytest.approx(waits)
