"""The pace of archiving, by a clock that the test moves."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from perdure_workers.supervisor.duties import rotate as duty
from support.clock import Clock


@pytest.mark.parametrize(
    ("took", "rest", "horizon"),
    [(0.02, 0.2, None), (0.3, 3.0, None), (60.0, duty.LONGEST_REST, None), (1.5, 1.5, "7")],
)
def test_it_rests_longer_where_a_page_takes_longer_and_less_while_a_transaction_is_held_open(
    took: float, rest: float, horizon: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pages = Clock(), 0
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(duty, "HELD", 0.0)

    def archive(period: float, rest: float, after: str, page: int) -> list[str]:
        nonlocal pages
        clock.now += took
        pages += 1
        return [str(number) for number in range(page)]

    partitions = SimpleNamespace(look=lambda: SimpleNamespace(horizon=horizon, to_rotate=[]), archive=archive)
    settings = SimpleNamespace(partition_period=60.0)
    app: Any = SimpleNamespace(ledger=SimpleNamespace(partitions=partitions), settings=settings)
    rotating = duty.Rotate(app)
    rotating.run_once()
    assert rotating.period == duty.NEXT_PAGE
    for seconds, done in ((0.9 * rest, 1), (0.2 * rest, 2)):
        clock.now += seconds
        rotating.run_once()
        assert pages == done
