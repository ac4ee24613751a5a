"""The pace of pruning, by a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perdure.model.states import JobState
from perdure_workers.supervisor import maintenance
from support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(maintenance, "time", clock)
    return clock


def test_it_takes_less_than_a_twentieth_of_the_time_and_rests_longer_where_pages_take_longer(clock: Clock) -> None:
    pages = iter([0.01, 0.05, 10.0, 0.0])
    between: list[float] = []

    def step() -> int:
        took = next(pages)
        clock.now += took
        return 500 if took else 0

    assert maintenance._all(step, lambda: between.append(clock.now)) == 1_500
    assert clock.slept == pytest.approx([0.2, 1.0, 2.0])  # and for so long at most, or it would fall behind for ever
    assert len(between) == 3


def test_a_page_of_jobs_begins_where_the_one_before_ended() -> None:
    """Those that stay, and on PostgreSQL those that went, are not passed by once more with each page."""
    asked: list[str] = []
    kept = iter([["a", "c"], ["d"], [], []])

    def prune(state: JobState, retention: float, after: str, page: int) -> list[str]:
        asked.append(after)
        return next(kept)

    ledger = SimpleNamespace(jobs=SimpleNamespace(prune=prune), database=SimpleNamespace(dialect="sqlite"))
    app: Any = SimpleNamespace(ledger=ledger, storage=SimpleNamespace(in_ledger=True))
    step = maintenance._page_of_jobs(app, JobState.SUCCEEDED, 60.0)
    assert [step() for _ in range(4)] == [2, 1, 0, 0]
    assert asked == ["", "c", "d", "d"]
