from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.storage_errors import CursorMismatch
from perdure.stores.sources.cursor import as_cursor
from perdure.stores.sources.lines import BinaryLines, TextLines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lines"
    path.write_bytes("äh\nzwei\r\n\ndrei".encode())
    return path


def test_lines_come_with_the_offset_after_them(path: Path) -> None:
    assert list(BinaryLines(path).open(None)) == [("äh\n".encode(), 4), (b"zwei\r\n", 10), (b"\n", 11), (b"drei", 15)]
    assert list(TextLines(path).open(None)) == [("äh\n", 4), ("zwei\n", 10), ("\n", 11), ("drei", 15)]
    assert as_cursor(lines := TextLines(path)) is lines
    assert (lines.done(None), lines.done(10), lines.total()) == (0, 10, 15)


@given(st.lists(st.text(alphabet="aé\u010a\r \x85", max_size=4), max_size=12), st.booleans())
def test_going_on_at_every_line_gives_the_rest(lines: list[str], ended: bool) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(("\n".join(lines) + "\n" * ended).encode())
        file.flush()
        whole = list(TextLines(file.name).open(None))
        for index, (_, after) in enumerate(whole):
            assert list(TextLines(file.name).open(after)) == whole[index + 1 :]


def test_a_file_is_read_from_the_offset_on_only(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(10 * 2**30)  # 10 GB of nothing: reading it would not end within the test's time
        file.write(b"\nlast\n")
    assert list(BinaryLines(path).open(10 * 2**30 + 1)) == [(b"last\n", 10 * 2**30 + 6)]


def test_lines_added_later_are_read(path: Path) -> None:
    path.write_bytes(b"one\n")
    with path.open("ab") as file:
        file.write(b"two\n")
    assert list(BinaryLines(path).open(4)) == [(b"two\n", 8)]


def test_a_replaced_file_is_recognised(path: Path) -> None:
    with pytest.raises(CursorMismatch, match="cut short or replaced"):
        BinaryLines(path).open(16)
    with pytest.raises(CursorMismatch, match="not the beginning of a line"):
        TextLines(path).open(5)
    with pytest.raises(CursorMismatch, match="no position"):
        BinaryLines(path).open("4")  # type: ignore[arg-type]


def test_a_byte_order_mark_is_no_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfone\ntwo\n")
    for encoding in ("utf-8", "utf-8-sig"):
        assert list(TextLines(path, encoding).open(None)) == [("one\n", 7), ("two\n", 11)]
        assert list(TextLines(path, encoding).open(7)) == [("two\n", 11)]


def test_other_encodings(path: Path) -> None:
    path.write_bytes("äö\nü\n".encode("latin-1"))
    assert list(TextLines(path, "latin-1").open(3)) == [("ü\n", 5)]
    with pytest.raises(UnicodeDecodeError):
        list(TextLines(path).open(None))
    assert [line for line, _ in TextLines(path, errors="replace").open(3)] == ["\ufffd\n"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_without_line_ends_in_bytes_are_refused(path: Path, encoding: str) -> None:
    with pytest.raises(ValueError, match="convert"):
        TextLines(path, encoding)
