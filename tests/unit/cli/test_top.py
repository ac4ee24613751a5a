"""The parts of ``perdure top`` that need no terminal."""

from __future__ import annotations

import pytest

from perdure_workers.cli.top.facts import rate
from perdure_workers.cli.top.keys import keys_in
from perdure_workers.cli.top.view import shares


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("q", ["q"]),
        ("\x1b[A\x1bOBj", ["up", "down", "j"]),
        ("\x1b", ["escape"]),
        ("\t\x1b[Z\r\x7f", ["tab", "back-tab", "enter", "delete"]),
        ("\x1b[200~x\x1b[1;5Cy", ["x", "y"]),
        ("ö\x04", ["ö", "end"]),
    ],
)
def test_keys(typed: str, keys: list[str]) -> None:
    assert keys_in(typed) == keys


@pytest.mark.parametrize(
    ("wanted", "room", "given"),
    [
        ([3, 5, 1], 100, [3, 5, 1]),
        ([3, 5, 1], 6, [3, 2, 1]),
        ([9, 9, 9], 4, [2, 1, 1]),
        ([9, 9], 0, [0, 0]),
        ([9, 9], -3, [0, 0]),
        ([], 5, []),
    ],
)
def test_shares_of_the_screen(wanted: list[int], room: int, given: list[int]) -> None:
    assert shares(wanted, room) == given


@pytest.mark.parametrize(
    ("ended", "second", "expected"), [([60, 0], 0, 1.0), ([60, 0], 30, 0.5), ([60, 60], 30, 1.5), ([None, 30], 59, 0.5)]
)
def test_rates_are_of_the_last_minute(ended: list[int | None], second: int, expected: float) -> None:
    assert rate(ended, second) == pytest.approx(expected)
