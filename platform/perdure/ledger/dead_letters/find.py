"""Finding dead letters by filters, in pages that stay as they are while letters come in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, exists, func, select

from perdure.ledger.conditions import exactly, made_since
from perdure.ledger.paging import Along, bounds, in_order
from perdure.ledger.schema import dead_letter_tags, dead_letter_words, dead_letters
from perdure.model.dead_letter import LetterFilter
from perdure.model.dead_letter_words import words
from perdure.model.ids import CLOCK_SKEW, earliest_id
from perdure.model.records import DeadLetterRecord

#: Columns that are compared for equality, by filter; the one that says most first: SQLite finds letters by that one.
_EQUAL: dict[str, Column[str]] = {
    "replayed_in": dead_letters.c.replayed_in,
    "fingerprint": dead_letters.c.fingerprint,
    "breaker": dead_letters.c.breaker,
    "error": dead_letters.c.error_type,
    "task": dead_letters.c.task,
    "reason": dead_letters.c.reason,
    "bulkhead": dead_letters.c.bulkhead,
    "status": dead_letters.c.status,
}
#: Letters up to which it is counted how common a word, or the value of a column, is.
_RARE = 1_000


def listing(
    connection: Connection,
    which: LetterFilter,
    *,
    limit: int = 100,
    after: str | None = None,
    oldest_first: bool = False,
) -> list[DeadLetterRecord]:
    """Return a page of dead letters, the newest first unless the oldest are asked for.

    Args:
        connection: Where to read.
        which: Which letters.
        limit: The most to return.
        after: The id of the last one of the page before.
        oldest_first: The other direction.
    """
    query = matching(connection, which, dead_letters, after=after, oldest_first=oldest_first)
    return [DeadLetterRecord.of(row._mapping) for row in connection.execute(query.limit(limit))]


def count(connection: Connection, which: LetterFilter) -> int:
    """Return how many letters there are."""
    query, _, _ = _matching(connection, which, dead_letters.c.id)
    return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()


def matching(
    connection: Connection, which: LetterFilter, *what: Any, after: str | None = None, oldest_first: bool = False
) -> Select[Any]:
    """Return the query for the letters that a filter means, in order.

    Args:
        connection: Where to look how common it is what the filter asks for.
        which: The filter.
        what: What is wanted of each letter.
        after: The id of the last one of the page before.
        oldest_first: The order; the newest are first without it.
    """
    query, key, along = _matching(connection, which, *what)
    within = bounds(after=after, since=which.since, until=which.until, upto=which.upto, oldest_first=oldest_first)
    return in_order(query, key, along, *within, oldest_first=oldest_first)


def _matching(
    connection: Connection, which: LetterFilter, *what: Any
) -> tuple[Select[Any], ColumnElement[str], Along | None]:
    """Return the query for the letters that a filter means, and what it is to be ordered by."""
    query: Select[Any] = select(*what)
    key: ColumnElement[str] = dead_letters.c.id
    sought = _rarest_first(connection, words(which.text))
    rare = _rare_column(connection, which, alone=which.tag is None and not sought)
    if rare is not None:
        if which.tag is not None:
            tag = dead_letter_tags.alias()
            same = (tag.c.tag == which.tag[0], tag.c.value == which.tag[1], tag.c.letter_id == key)
            query = query.where(exists().where(*same).correlate_except(tag))
    elif which.tag is not None:
        # From the tags to their letters, in the tags' order: a rare tag must not make a page read all letters.
        key, tags = dead_letter_tags.c.letter_id, dead_letter_tags.c
        query = query.join(dead_letter_tags, dead_letters.c.id == key)
        query = query.where(tags.tag == which.tag[0], tags.value == which.tag[1])
    elif sought:
        key, word = dead_letter_words.c.letter_id, sought.pop(0)
        query = query.join(dead_letter_words, dead_letters.c.id == key).where(dead_letter_words.c.word == word)
    for word in sought:
        other = dead_letter_words.alias()
        query = query.where(exists().where(other.c.word == word, other.c.letter_id == key).correlate_except(other))
    given = sorted((name for name in _EQUAL if getattr(which, name) is not None), key=lambda name: name != rare)
    driven = key is not dead_letters.c.id
    along = None if driven or not given else (_EQUAL[given[0]], getattr(which, given[0]))
    # Their indexes are of these only.
    partial = [name for name in ("breaker", "replayed_in") if name in given and rare in (None, name)]
    query = query.where(*(_is(connection, which, name, along) for name in given))
    return query.where(*(_EQUAL[name].is_not(None) for name in partial), *_made(which, key)), key, along


def _is(connection: Connection, which: LetterFilter, name: str, along: Along | None) -> ColumnElement[bool]:
    column, value = _EQUAL[name], getattr(which, name)
    if along is not None and column is along[0]:
        return exactly(column, value)
    # SQLite without statistics takes any index of an equal column rather than the one in the order of the list.
    by_index = connection.dialect.name != "sqlite"
    equal: ColumnElement[bool] = (column if by_index else column.concat("")) == value
    return equal


def _made(which: LetterFilter, key: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
    if which.since is not None:
        yield from made_since(key, dead_letters.c.created_at, which.since)
    if which.until is not None:
        yield key < earliest_id(which.until + CLOCK_SKEW)
        yield dead_letters.c.created_at < which.until
    if which.upto is not None:
        yield key <= which.upto


def _rare_column(connection: Connection, which: LetterFilter, *, alone: bool) -> str | None:
    """Return a filter that only few letters pass, so that the search goes by that, however common words and tags are.

    With ``alone``, where there are no words and tags, a single filter needs no look. PostgreSQL knows by its statistics.
    """
    if connection.dialect.name != "sqlite":
        return None
    given = [(name, column, value) for name, column in _EQUAL.items() if (value := getattr(which, name)) is not None]
    if alone and len(given) < 2:
        return None
    for name, column, value in given:
        some = select(column).where(column.is_not(None), column == value).limit(_RARE).subquery()
        if connection.execute(select(func.count()).select_from(some)).scalar_one() < _RARE:
            return name
    return None


def _rarest_first(connection: Connection, sought: list[str]) -> list[str]:
    """Return words so that the search goes by the one that the fewest letters have."""
    if len(sought) < 2:
        return sought
    c = dead_letter_words.c

    def how_common(word: str) -> int:
        some = select(c.letter_id).where(and_(c.word == word)).limit(_RARE).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()

    return sorted(sought, key=how_common)
