from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.storage_errors import CursorMismatch
from perdure.stores.sources.cursor import Batches, Cursor, FactoryCursor, MappingCursor, SequenceCursor, as_cursor

LETTERS = ["a", "b", "c", "d"]


def pages(position: int | None) -> Iterator[tuple[str, int]]:
    for index in range(position or 0, len(LETTERS)):
        yield LETTERS[index], index + 1


SOURCES: dict[str, Any] = {
    "list": LETTERS,
    "tuple": tuple(LETTERS),
    "text": "abcd",
    "dict": dict(zip(LETTERS, range(4), strict=True)),
    "factory": lambda: iter(LETTERS),
    "function": pages,
}


@pytest.mark.parametrize("kind", SOURCES)
@given(stop=st.integers(0, 4))
def test_reading_in_two_parts_gives_every_item_once(kind: str, stop: int) -> None:
    whole = [item for item, _ in as_cursor(SOURCES[kind]).open(None)]
    first: list[Any] = []
    position = None
    for item, after in as_cursor(SOURCES[kind]).open(None):
        if len(first) == stop:
            break
        first.append(item)
        position = json.loads(json.dumps(after))
    rest = [item for item, _ in as_cursor(SOURCES[kind]).open(position)]
    assert first + rest == whole
    assert len(whole) == 4


@pytest.mark.parametrize("kind", SOURCES)
@given(stop=st.integers(0, 4), first_size=st.integers(1, 5), second_size=st.integers(1, 5))
def test_batches_read_in_two_parts_give_every_item_once(kind: str, stop: int, first_size: int, second_size: int) -> None:
    whole = [item for item, _ in as_cursor(SOURCES[kind]).open(None)]
    batches: list[Any] = []
    position = None
    for batch, after in Batches(as_cursor(SOURCES[kind]), first_size).open(None):
        if len(batches) == stop:
            break
        batches.append(batch)
        position = json.loads(json.dumps(after))
    batches += [batch for batch, _ in Batches(SOURCES[kind], second_size).open(position)]
    assert [item for batch in batches for item in batch] == whole
    assert [] not in batches


def test_batches_tell_of_progress_as_their_source_does_and_have_a_size() -> None:
    batches = Batches(LETTERS, 3)
    assert [batch for batch, _ in batches.open(None)] == [["a", "b", "c"], ["d"]]
    assert (batches.done(3), batches.total()) == (3, 4)
    assert as_cursor(batches) is batches
    with pytest.raises(ValueError, match="must be 1 or more"):
        Batches(LETTERS, 0)


@pytest.mark.parametrize("kind", ["list", "dict", "factory", "function"])
def test_progress_is_known(kind: str) -> None:
    cursor = as_cursor(SOURCES[kind])
    assert (cursor.done(None), cursor.done(3)) == (0, 3)
    assert cursor.total() == (4 if kind in ("list", "dict") else None)


class Counting:
    """Ten million items that count how often they are looked at."""

    def __init__(self) -> None:
        self.touched = 0

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> int:
        self.touched += 1
        return range(10_000_000)[index]


@pytest.mark.parametrize("position", [None, 1, 5_000_000, 9_999_990])
def test_ten_million_items_are_resumed_without_touching_those_before(position: int | None) -> None:
    items = Counting()
    cursor = as_cursor(items)
    opened = cursor.open(position)
    assert items.touched == 0
    assert [next(opened) for _ in range(5)] == [((position or 0) + n, (position or 0) + n + 1) for n in range(5)]
    assert items.touched == 5
    assert list(as_cursor(range(10_000_000)).open(9_999_999)) == [(9_999_999, 10_000_000)]


@pytest.mark.parametrize("source", [LETTERS, SOURCES["dict"], SOURCES["factory"]])
def test_a_source_that_became_shorter_is_told(source: Any) -> None:
    assert list(as_cursor(source).open(4)) == []
    with pytest.raises(CursorMismatch, match="Clear the checkpoint"):
        as_cursor(source).open(5)


@pytest.mark.parametrize("position", [-1, "3", 1.5, True, [1]])
def test_what_is_no_position_is_told(position: Any) -> None:
    cursors: list[Any] = [SequenceCursor(LETTERS), MappingCursor({}), FactoryCursor(lambda: LETTERS)]
    for cursor in cursors:
        with pytest.raises(CursorMismatch, match="no position"):
            cursor.open(position)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "why"), [((n for n in range(3)), "once only"), ({1, 2}, "no order"), (3, "no order"), (list, "a class")]
)
def test_what_cannot_be_resumed_is_refused(source: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        as_cursor(source)


def test_any_object_with_the_methods_is_a_cursor() -> None:
    class Own:
        def open(self, position: int | None) -> Iterator[tuple[str, int]]:
            return pages(position)

        def done(self, position: int | None) -> float:
            return position or 0

        def total(self) -> float:
            return 4

    own = Own()
    assert isinstance(own, Cursor)
    assert as_cursor(own) is own
