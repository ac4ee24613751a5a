"""Text of others reaches terminals and logs as what it is, and forges nothing."""

from __future__ import annotations

import io
import logging
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.text.safe import many_lines, one_line
from perdure_workers.logs import FORMAT, SafeFormatter

TURNS_OR_HIDES = "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [/x] text, ünïcödé 漢字 👩‍🔬", "plain [/x] text, ünïcödé 漢字 👩‍🔬"),
        ("a\nb\r\n\tc", r"a\nb\r\n\tc"),
        ("\x1b]52;c;aGk=\x07\x1b[2J", r"\x1b]52;c;aGk=\x07\x1b[2J"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("access\u202e level", r"access\u202e level"),
        ("\U000e0041", r"\U000e0041"),
        ("\udc80", r"\udc80"),
    ],
)
def test_what_is_unsafe_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text(st.characters()))
def test_one_line_is_one_line_of_printable_text(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in line)
    assert not set(line) & set(TURNS_OR_HIDES)
    line.encode()


@given(st.text(st.characters()))
def test_many_lines_keep_their_newlines_and_nothing_else(text: str) -> None:
    assert [one_line(line) for line in text.replace("\t", " ").split("\n")] == many_lines(text).replace("\t", " ").split(
        "\n"
    )


def logged(error: BaseException | None, *args: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter(FORMAT))
    record = logging.LogRecord("perdure.x", logging.ERROR, __file__, 1, "job failed: %s", args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    handler.handle(record)
    return stream.getvalue()


FORGED = "x\n2026-01-01 00:00:00,000 INFO    1 perdure.worker: all is well\x1b[1A"


def test_an_error_forges_no_log_line() -> None:
    assert len(logged(None, FORGED).splitlines()) == 1
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        lines = logged(error, FORGED).splitlines()
    assert all(line.startswith("  | ") for line in lines[1:])
    assert lines[1] == "  | Traceback (most recent call last):"
    assert "\x1b" not in "".join(lines)
    assert sys.exc_info() == (None, None, None)
