"""How long jobs wait for a breaker: a pure decision."""

from __future__ import annotations

from random import Random
from typing import Any

from perdure.parking import LONGEST_LOOK, delays

PLAIN: dict[str, Any] = {"wait": 0.0, "share": 1.0, "permits": 1, "recovery": 60.0, "ramp_left": 0.0}


def of(count: int, **changes: Any) -> list[float]:
    return delays(count, **(PLAIN | changes), rng=Random(7))


def test_while_it_is_open_all_wait_for_the_next_trial_call_and_not_all_as_long() -> None:
    found = of(100, wait=20.0, share=0.0)
    assert all(20 <= delay <= 26 for delay in found)
    assert len(set(found)) == 100


def test_as_many_go_as_trial_calls_are_allowed_and_the_others_look_again_soon() -> None:
    found = of(10, share=0.0, permits=2)
    assert found[:2] == [0.0, 0.0]
    assert all(0 < delay <= 1.5 * LONGEST_LOOK for delay in found[2:])


def test_after_it_closed_a_share_goes_and_the_rest_is_spread() -> None:
    found = of(1000, share=0.1, ramp_left=27.0)
    assert 60 < found.count(0.0) < 140
    assert all(delay <= 27 for delay in found)
    assert sum(delay > 13.5 for delay in found) > 300


def test_a_breaker_that_is_closed_holds_nothing_back() -> None:
    assert of(5) == [0.0] * 5
