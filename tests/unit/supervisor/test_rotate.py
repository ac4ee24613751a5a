"""The pace of archiving, by a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perdure_workers.supervisor.duties import rotate as duty


@pytest.mark.parametrize(("took", "rest"), [(0.02, 1.0), (0.3, 3.0)])
def test_it_rests_longer_where_a_page_takes_longer(took: float, rest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(duty, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def archive(period: float, rest: float, after: str, page: int) -> list[str]:
        clock.now += took
        return [str(number) for number in range(page)]

    partitions = SimpleNamespace(look=lambda: SimpleNamespace(horizon=None, to_rotate=[]), archive_alone=archive)
    app: Any = SimpleNamespace(
        ledger=SimpleNamespace(partitions=partitions), settings=SimpleNamespace(partition_period=60.0)
    )
    rotating = duty.Rotate(app)
    rotating.run_once()

    assert rotating.period == pytest.approx(rest)
