"""Moments as people type them."""

from __future__ import annotations

import pytest

from perdure.errors import InvalidArguments
from perdure.model.moments import UNDERSTOOD, moment

NOW = 1_769_860_800.0 + 3600  # 2026-01-31 13:00 UTC
DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("30s", NOW - 30),
        ("1.5h", NOW - 5400),
        ("10 min ago", NOW - 600),
        ("2W", NOW - 14 * DAY),
        ("today", NOW - 13 * 3600),
        (" Yesterday ", NOW - 13 * 3600 - DAY),
        ("2026-01-30", NOW - 13 * 3600 - DAY),
        ("2026-01-31T13:00:00", NOW),
        ("2026-01-31 14:00+01:00", NOW),
        ("20260131T130000Z", NOW),
    ],
)
def test_what_is_understood(text: str, meant: float) -> None:
    assert moment("since", text, NOW) == meant


@pytest.mark.parametrize("text", ["", "lundi", "-2h", "2 fortnights", "h", "2026-02-30", "9999999999999999999d ago ago"])
def test_what_is_not_says_what_is(text: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        moment("since", text, NOW)
    assert str(caught.value) == f"since={text!r} is no moment. Write {UNDERSTOOD}"
