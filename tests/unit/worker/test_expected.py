"""What a task's jobs are expected to take: an average, and what the last two took where they took as long."""

from __future__ import annotations

import pytest

from perdure_workers.worker.expected import NEWEST, Expected


def learned(*took: float) -> Expected:
    expected = Expected()
    for seconds in took:
        expected.learn("t", seconds)
    return expected


def test_of_a_task_that_has_not_run_nothing_is_known() -> None:
    expected = learned(1.0, 1.0)
    assert (expected("other"), expected.nearly("other", 60.0)) == (0.0, None)


def test_a_job_takes_what_those_before_it_took_on_average() -> None:
    assert learned(1.0)("t") == 1.0
    assert learned(1.0, 2.0)("t") == pytest.approx(1.0 + NEWEST)


@pytest.mark.parametrize(
    ("took", "nearly"),
    [((0.1,), None), ((0.1, 0.108), 0.104), ((0.1, 0.2), None), ((0.1, 0.2, 0.1), None), ((9.0, 0.2, 0.2), 0.2)],
)
def test_its_end_is_foreseen_once_two_have_taken_as_long(took: tuple[float, ...], nearly: float | None) -> None:
    assert learned(*took).nearly("t", 0.01) == (nearly and pytest.approx(nearly))
