"""The rows of the user's own SQL query, resumed by key (keyset pagination; see use-the-index-luke.com/no-offset).

Each page asks for the rows after the last key, which an index on the key answers as quickly at the end of a table as
at its beginning; OFFSET would read all the rows before again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Engine, Row, Select, and_, func, or_, select

from perdure.model.storage_errors import CursorMismatch

DEFAULT_PAGE_ROWS: Final = 1000

_AS_THEY_ARE: Final = (int, float, str, bool)


class KeysetCursor:
    """The rows of a query in the order of a key. Position: ``[number of rows, key value, ...]``.

    Rows that are added with a greater key while the job runs are seen, those with a smaller one are not. No
    transaction stays open between pages.

    Args:
        engine: the database, any that SQLAlchemy knows.
        query: a select of columns (not of mapped classes) without ORDER BY, LIMIT and OFFSET.
        key: the column, or the sequence of columns, that orders the rows: selected by the query, together unique,
            never NULL, best with an index.
        descending: greatest key first.
        page_rows: rows for each query.
        count: also count the rows, once, for the progress display. It reads the whole result.

    Raises:
        ValueError: when the query has an order or limit of its own, or does not select the key.
    """

    def __init__(
        self,
        engine: Engine,
        query: Select[Any],
        key: Any,
        *,
        descending: bool = False,
        page_rows: int = DEFAULT_PAGE_ROWS,
        count: bool = False,
    ) -> None:
        self._engine, self._query = engine, query
        # Attributes of mapped classes stand for a column; sequences of either are keys of several columns.
        single = isinstance(key, ColumnElement) or hasattr(key, "__clause_element__")
        self._key = [_column(each) for each in ([key] if single else key)]
        self._descending, self._page_rows, self._count = descending, page_rows, count
        self._check()

    def _check(self) -> None:
        bare = self._query.order_by(None).limit(None).offset(None)
        if str(bare) != str(self._query):
            raise ValueError("the query has an ORDER BY, LIMIT or OFFSET; leave them away, the key gives the order")
        if not self._key:
            raise ValueError("a key of at least one column is needed")
        for column in self._key:
            if column not in set(self._query.selected_columns):
                raise ValueError(f"the query does not select its key column {column}; add it to select(...)")
        if self._page_rows < 1:
            raise ValueError(f"page_rows is {self._page_rows}, it must be at least 1")

    def open(self, position: list[Any] | None) -> Iterator[tuple[Row[Any], list[Any]]]:
        """Yield the rows after a key; see :meth:`Cursor.open`."""
        number, after = self._parsed(position)
        return self._rows(number, after)

    def _rows(self, number: int, after: list[Any] | None) -> Iterator[tuple[Row[Any], list[Any]]]:
        while True:
            page = self._page(after)
            for row in page:
                number += 1
                after = [row._mapping[column] for column in self._key]
                if None in after:
                    raise CursorMismatch(f"a row has no key ({', '.join(map(str, self._key))} is NULL); exclude it")
                yield row, [number, *map(_plain, after)]
            if len(page) < self._page_rows:
                return

    def _page(self, after: list[Any] | None) -> Sequence[Row[Any]]:
        query = self._query if after is None else self._query.where(self._beyond(after))
        order = [column.desc() if self._descending else column.asc() for column in self._key]
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(*order).limit(self._page_rows)).all()

    def _beyond(self, after: list[Any]) -> ColumnElement[bool]:
        """Return the condition (a, b) > (x, y), written out because not every database compares tuples."""
        branches = []
        for index, column in enumerate(self._key):
            equal = [earlier == value for earlier, value in zip(self._key[:index], after[:index], strict=True)]
            further = column < after[index] if self._descending else column > after[index]
            branches.append(and_(*equal, further))
        return or_(*branches)

    def _parsed(self, position: Any) -> tuple[int, list[Any] | None]:
        if position is None:
            return 0, None
        try:
            number, *values = position
            types = [column.type.python_type for column in self._key]
            return int(number), [_typed(value, type_) for value, type_ in zip(values, types, strict=True)]
        except (TypeError, ValueError) as error:
            raise CursorMismatch(
                f"{position!r} is no position for the key {', '.join(map(str, self._key))}: was it another key "
                "before? Clear the checkpoint to start again"
            ) from error

    def done(self, position: list[Any] | None) -> float:
        """Return the number of rows before ``position``."""
        return float(position[0]) if position else 0.0

    def total(self) -> float | None:
        """Return the number of rows when ``count`` was asked for, else None."""
        if not self._count:
            return None
        with self._engine.connect() as connection:
            return float(connection.execute(select(func.count()).select_from(self._query.subquery())).scalar_one())


def _column(key: Any) -> ColumnElement[Any]:
    column: ColumnElement[Any] = key.__clause_element__() if hasattr(key, "__clause_element__") else key
    return column


def _plain(value: Any) -> Any:
    """Return a key value as JSON has it: dates, UUIDs, decimals and bytes as text."""
    return value if isinstance(value, _AS_THEY_ARE) else msgspec.to_builtins(value)


def _typed(value: Any, type_: type[Any]) -> Any:
    """Return a key value as its column has it; the reverse of :func:`_plain`."""
    return value if type_ in _AS_THEY_ARE and isinstance(value, type_) else msgspec.convert(value, type_, strict=False)
