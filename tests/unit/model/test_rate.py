"""Rates as people write them."""

from __future__ import annotations

import pytest

from perdure import InvalidArguments
from perdure.model.rate import per_second


@pytest.mark.parametrize(
    ("rate", "expected"), [("50/s", 50.0), ("30/m", 0.5), ("36/h", 0.01), ("5", 5.0), (2.5, 2.5), (None, None)]
)
def test_rates(rate: str | float | None, expected: float | None) -> None:
    assert per_second(rate) == expected


@pytest.mark.parametrize("rate", ["", "fast", "5/d", "0/s", "-1", "nan", "inf", 0])
def test_what_is_no_rate_is_refused(rate: str | float) -> None:
    with pytest.raises(InvalidArguments, match="rate="):
        per_second(rate)
