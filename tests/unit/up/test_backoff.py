from __future__ import annotations

from perdure_workers.up.backoff import Backoff


def test_delays_double_up_to_the_maximum() -> None:
    backoff = Backoff(first=0.1, maximum=1.0)
    assert [backoff.after_death(lived=0.5) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_after_a_healthy_life_it_is_started_at_once_and_the_count_starts_anew() -> None:
    backoff = Backoff(first=0.1, maximum=30, healthy_after=10)
    for _ in range(4):
        backoff.after_death(lived=9.9)
    assert backoff.after_death(lived=10) == 0.0
    assert backoff.after_death(lived=0) == 0.1


def test_thousands_of_deaths_do_not_overflow() -> None:
    backoff = Backoff(deaths=100_000)
    assert backoff.after_death(lived=0) == 30.0
