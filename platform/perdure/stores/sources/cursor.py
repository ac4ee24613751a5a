"""Sources that a job can go on reading where it stopped, without reading again what is behind it.

A source gives items, and after each the *position* to go on from: a small value that JSON can carry, which the job's
checkpoint keeps. Opening a source at a position takes the same time however far in it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

from perdure.model.storage_errors import CursorMismatch

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")

Position = Any
"""What a JSON document can carry: numbers, text, lists of them."""


@runtime_checkable
class Cursor(Protocol[T_co]):
    """A source that can be opened anywhere. Any object with these three methods is one."""

    def open(self, position: Position | None) -> Iterator[tuple[T_co, Position]]:
        """Yield each item with the position after it, from ``position`` on; from the beginning when it is None.

        Raises:
            CursorMismatch: when ``position`` does not fit this source, because it was replaced or cut short.
        """

    def done(self, position: Position | None) -> float:
        """Return how much lies before ``position``, in the unit of :meth:`total`."""

    def total(self) -> float | None:
        """Return how much there is in all, None when that is not known."""


class SequenceCursor(Generic[T]):
    """Lists, tuples, ranges and whatever else has a length and gives items by index. Position: the next index."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items

    def open(self, position: int | None) -> Iterator[tuple[T, int]]:
        """Yield from an index on; see :meth:`Cursor.open`."""
        start = _count(position)
        if start > len(self._items):
            raise CursorMismatch(
                f"cannot go on at item {start} of a sequence of {len(self._items)}: it has become shorter. "
                "Clear the checkpoint to start again"
            )
        return ((self._items[index], index + 1) for index in range(start, len(self._items)))

    def done(self, position: int | None) -> float:
        """Return the number of items before ``position``."""
        return _count(position)

    def total(self) -> float:
        """Return the number of items."""
        return len(self._items)


class MappingCursor(Generic[K, V]):
    """The (key, value) pairs of a dict, in its order, which must be the same whenever the job runs.

    Position: the number of pairs. A dict has no access by number, so going on steps over the keys before, in memory.
    """

    def __init__(self, mapping: Mapping[K, V]) -> None:
        self._mapping = mapping

    def open(self, position: int | None) -> Iterator[tuple[tuple[K, V], int]]:
        """Yield from a pair on; see :meth:`Cursor.open`."""
        start = _count(position)
        if start > len(self._mapping):
            raise CursorMismatch(
                f"cannot go on at pair {start} of a mapping of {len(self._mapping)}: it has become smaller. "
                "Clear the checkpoint to start again"
            )
        pairs = islice(self._mapping.items(), start, None)
        return ((pair, start + number) for number, pair in enumerate(pairs, start=1))

    def done(self, position: int | None) -> float:
        """Return the number of pairs before ``position``."""
        return _count(position)

    def total(self) -> float:
        """Return the number of pairs."""
        return len(self._mapping)


class FactoryCursor(Generic[T]):
    """What a function without parameters gives, made anew each time and the items before the position skipped.

    For sources that have nothing better: the items before are produced again, though not processed.
    """

    def __init__(self, factory: Callable[[], Iterable[T]]) -> None:
        self._factory = factory

    def open(self, position: int | None) -> Iterator[tuple[T, int]]:
        """Yield from an item on; see :meth:`Cursor.open`."""
        start = _count(position)
        items = iter(self._factory())
        skipped = sum(1 for _ in islice(items, start))
        if skipped < start:
            raise CursorMismatch(
                f"cannot go on at item {start}: the source gave {skipped} items only, it has become shorter. "
                "Clear the checkpoint to start again"
            )
        return ((item, start + number) for number, item in enumerate(items, start=1))

    def done(self, position: int | None) -> float:
        """Return the number of items before ``position``."""
        return _count(position)

    def total(self) -> None:
        """Return None: how much comes is not known."""


class FunctionCursor(Generic[T]):
    """What a function of the position gives: pairs of an item and the position after it.

    Positions are the function's own; a paged web API's ``next`` token is one.
    """

    def __init__(self, function: Callable[[Position | None], Iterable[tuple[T, Position]]]) -> None:
        self._function = function

    def open(self, position: Position | None) -> Iterator[tuple[T, Position]]:
        """Yield what the function gives from ``position`` on; see :meth:`Cursor.open`."""
        return iter(self._function(position))

    def done(self, position: Position | None) -> float:
        """Return the position when it is a number, else 0."""
        return float(position) if isinstance(position, int | float) else 0.0

    def total(self) -> None:
        """Return None: how much comes is not known."""


class Batches(Generic[T]):
    """The items of another source in lists, so that a transaction writes many of them at once::

        for batch in (loop := ctx.iterate(Batches(TextLines(path), 500))):
            with ctx.transaction() as connection:
                connection.execute(insert(copies), [as_row(line) for line in batch])
                loop.save()

    Args:
        source: What :func:`as_cursor` takes.
        size: Items of a list; the last one may have fewer.

    Raises:
        ValueError: The size is less than 1.
    """

    def __init__(self, source: Cursor[T] | Sequence[T] | Callable[[], Iterable[T]], size: int) -> None:
        if size < 1:
            raise ValueError(f"size={size!r} must be 1 or more items")
        self._cursor: Cursor[T] = as_cursor(source)
        self._size = size

    def open(self, position: Position | None) -> Iterator[tuple[list[T], Position]]:
        """Yield lists from a position of the source on; see :meth:`Cursor.open`."""
        items = self._cursor.open(position)
        while batch := list(islice(items, self._size)):
            yield [item for item, _ in batch], batch[-1][1]

    def done(self, position: Position | None) -> float:
        """Return what the source says."""
        return self._cursor.done(position)

    def total(self) -> float | None:
        """Return what the source says."""
        return self._cursor.total()


def as_cursor(source: Any) -> Cursor[Any]:
    """Return the cursor of a source.

    Args:
        source: a :class:`Cursor`; a sequence; a dict; a function without parameters that gives an iterable; or a
            function of a position that gives (item, next position) pairs.

    Raises:
        TypeError: when it cannot be resumed: a generator is used up after one run, a set has another order each time.
    """
    if isinstance(source, type):
        raise TypeError(f"{source!r} is a class; pass an instance, or a function that makes the items")
    if isinstance(source, Cursor):
        return source
    if isinstance(source, Mapping):
        return MappingCursor(source)
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        return SequenceCursor(cast("Sequence[Any]", source))
    if callable(source):
        needed = [each for each in inspect.signature(source).parameters.values() if each.default is each.empty]
        return FunctionCursor(source) if needed else FactoryCursor(source)
    if isinstance(source, Iterator):
        raise TypeError(f"a {type(source).__name__} can be read once only; pass the function that makes it")
    raise TypeError(
        f"a {type(source).__name__} has no order to go on in; pass a sequence, a function that makes the items, "
        "or an object with open(position), done(position) and total()"
    )


def _count(position: Any) -> int:
    if position is None:
        return 0
    if isinstance(position, bool) or not isinstance(position, int) or position < 0:
        raise CursorMismatch(
            f"{position!r} is no position in this source, a count is expected: was it another kind of source before? "
            "Clear the checkpoint to start again"
        )
    return position
