"""The checks of what a job's history may look like: a sound one passes, and each breach is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.cluster import Effect
from support.invariants import check_checkpoints, check_fences, check_outcomes, check_side_by_side

SOUND = [
    Effect("start:0", 1, 1, 10, 0.0),
    Effect("saved:5", 1, 1, 10, 1.0),
    Effect("start:5", 2, 2, 11, 2.0),
    Effect("end", 2, 2, 11, 3.0),
]
BOTH_RUN = [Effect("start:0", 1, 1, 10, 0.0), Effect("start:0", 2, 2, 11, 1.0), Effect("end", 1, 1, 10, 2.0)]


def test_a_sound_history_passes() -> None:
    outcomes = {1: "crashed", 2: "succeeded"}
    check_outcomes(list(outcomes.values()))
    check_fences(SOUND, outcomes)
    check_side_by_side(SOUND, outcomes)
    check_checkpoints(SOUND)


def test_an_attempt_that_lost_its_lease_may_overlap() -> None:
    check_side_by_side(BOTH_RUN, {1: "crashed", 2: "succeeded"})


@pytest.mark.parametrize(
    "breach",
    [
        pytest.param(lambda: check_outcomes(["crashed"]), id="never succeeded"),
        pytest.param(lambda: check_outcomes(["succeeded", "succeeded"]), id="succeeded twice"),
        pytest.param(lambda: check_outcomes(["failed", "succeeded"]), id="burned a retry"),
        pytest.param(lambda: check_fences(SOUND, {1: "succeeded"}), id="ran after its last claim"),
        pytest.param(
            lambda: check_fences([*SOUND, Effect("start:5", 2, 2, 12, 4.0)], {1: "crashed", 2: "succeeded"}),
            id="two processes held one fence",
        ),
        pytest.param(lambda: check_side_by_side(BOTH_RUN, {1: "handed_back", 2: "succeeded"}), id="ran side by side"),
        pytest.param(
            lambda: check_checkpoints([*SOUND, Effect("start:4", 3, 3, 12, 4.0)]), id="began below its checkpoint"
        ),
    ],
)
def test_each_breach_is_found(breach: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        breach()
