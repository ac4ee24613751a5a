"""Pages of a list: in the order of ids, or of an index that has another column before them."""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, Select, tuple_

from perdure.model.ids import CLOCK_SKEW, earliest_id

#: The first column of an index that goes on by id, and what it is to be.
Along = tuple[ColumnElement[str], Any]
#: How ids compare with one at which a list begins or ends.
Bound = tuple[Callable[[Any, Any], Any], str]


def bounds(
    *,
    after: str | None = None,
    since: float | None = None,
    until: float | None = None,
    upto: str | None = None,
    oldest_first: bool = False,
) -> list[Bound]:
    """Return where a list begins and ends.

    Args:
        after: The id of the last one of the page before.
        since: Epoch seconds; by the ids alone, which are as exact as their makers' clocks.
        until: Likewise.
        upto: The greatest id.
        oldest_first: The list's order.
    """
    given: list[tuple[Callable[[Any, Any], Any], str | None]] = [
        (gt if oldest_first else lt, after),
        (ge, None if since is None else earliest_id(since - CLOCK_SKEW)),
        (lt, None if until is None else earliest_id(until + CLOCK_SKEW)),
        (le, upto),
    ]
    return [(compare, bound) for compare, bound in given if bound is not None]


def in_order(
    query: Select[Any], key: ColumnElement[str], along: Along | None, *within: Bound, oldest_first: bool = False
) -> Select[Any]:
    """Return a query in the order of an index, the newest first unless the oldest are asked for.

    Args:
        query: What is to be ordered; its column that it goes along is compared by :class:`conditions.exactly`.
        key: The column of the ids.
        along: The index's first column and its value, if it has one before the ids.
        within: Where the list begins and ends.
        oldest_first: The other direction.
    """
    query = query.where(*(compare(key, bound) for compare, bound in within))
    columns = [key]
    if along is not None:
        column, value = along
        columns = [column, key]
        # Or PostgreSQL would begin at the first that has the value once more, and read to the last one.
        query = query.where(*(compare(tuple_(column, key), tuple_(value, bound)) for compare, bound in within))
    return query.order_by(*(each if oldest_first else each.desc() for each in columns))
