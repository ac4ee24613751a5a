"""``Retry-After``: both forms of RFC 9110, and nonsense."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from perdure_tasks.webhooks import LONGEST_RETRY_AFTER_S, retry_after_seconds

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        (formatdate(NOW + 90), 90.0),
        ("999999999999999999999", LONGEST_RETRY_AFTER_S),
        (formatdate(NOW + 10**8, usegmt=True), LONGEST_RETRY_AFTER_S),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after(value: Any, seconds: float) -> None:
    assert retry_after_seconds(value, NOW) == seconds
