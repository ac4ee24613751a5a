"""The pace of archiving, by a clock that the test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from perdure.ledger.partitions.rotate import Look
from perdure_workers.supervisor.duties import rotate as duty
from support.clock import Clock


def made(look: Look, archive: Callable[..., list[str]]) -> duty.Rotate:
    """The duty, with partitions of which these tell."""
    partitions = SimpleNamespace(look=lambda: look, archive=archive)
    settings = SimpleNamespace(partition_period=60.0)
    app: Any = SimpleNamespace(ledger=SimpleNamespace(partitions=partitions), settings=settings)
    return duty.Rotate(app)


@pytest.mark.parametrize(
    ("took", "rest", "horizon", "is_behind"),
    [
        (0.02, 0.2, None, False), (0.3, 3.0, None, False), (60.0, duty.LONGEST_REST, None, False),
        (0.3, 3.0, "7", False), (0.3, 0.3, "7", True), (0.3, 3.0, None, True),
    ],
)  # fmt: skip
def test_it_rests_longer_where_a_page_takes_longer_and_less_where_rotation_waits_for_it(
    took: float, rest: float, horizon: str | None, is_behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pages = Clock(), 0
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(duty, "HELD", 0.0)

    def archive(period: float, rest: float, after: str, page: int) -> list[str]:
        nonlocal pages
        clock.now += took
        pages += 1
        return [str(number) for number in range(page)]

    rotating = made(Look(horizon, [], is_behind), archive)
    rotating.run_once()
    assert rotating.period == (duty.HASTE if horizon and is_behind else duty.NEXT_PAGE)
    for seconds, done in ((0.9 * rest, 1), (0.2 * rest, 2)):
        clock.now += seconds
        rotating.run_once()
        assert pages == done


def test_it_makes_no_haste_where_what_lives_is_not_to_be_archived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "HELD", 0.0)
    rotating = made(Look("7", [], is_behind=True), lambda *_: ["one"])
    rotating.run_once()
    assert rotating.period == duty.NEXT_PAGE
