"""The kill league's checker, on histories that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_what_is_missing_doubled_cut_short_and_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.campaign import Kill, Record, judge

    starts = [Record(0, 1.0, 10), Record(1, 1.0, 11), Record(2, 1.0, 12), Record(1, 4.0, 13), Record(3, 5.0, 13)]
    ends = [Record(0, 1.2, 10), Record(1, 4.2, 13), Record(3, 5.2, 13), Record(3, 6.2, 13)]
    kills = [Kill(1.1, (11, 12), True), Kill(9.0, (13,), False)]

    found = judge("one", 5, starts, ends, kills)

    assert (found.kills, found.jobs) == (2, 5)
    assert found.missing == 2  # 2 was cut short and never ran again, 4 never ran
    assert found.doubled == 1  # 3
    assert found.interrupted == 2
    assert found.recoveries == [4.0 - 1.1]
    assert found.cells()[6] == "1"
