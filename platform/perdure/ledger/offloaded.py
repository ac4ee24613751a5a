"""Which blobs the ledger refers to, so that the others can be removed.

Every text of every table is looked at, and not a list of columns that somebody has to remember to keep.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, Table, Text, func, select, union_all

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.now import now
from perdure.ledger.schema import facts, metadata
from perdure.model.blob_ref import BLOB, REF
from perdure.model.ids import new_id

#: Bytes of the largest checkpoint's frame that holds a reference in place of the state; see :mod:`perdure.stores.record`.
_LARGEST_FRAME = 1024
_IDENTITY = "ledger_id"


def _columns(table: Table, kind: type[Any]) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, kind)]


#: The tables that may hold references. Dead letters first: what is replayed meanwhile comes to be at the end of the jobs.
TABLES = sorted(
    (table for table in metadata.tables.values() if _columns(table, Text) or _columns(table, LargeBinary)),
    key=lambda table: (table.name != "perdure_dead_letters", table.name),
)


class Page(NamedTuple):
    """The references in some rows of a table, and the key from which to go on (None: that was the last page)."""

    references: frozenset[str]
    next: str | None


def references(connection: Connection, table: Table, after: str, size: int) -> Page:
    """Return the references in about ``size`` rows of a table, those whose key is above ``after``."""
    last, here = _range(connection, table, after, size)
    found: set[str] = set()
    if texts := _columns(table, Text):
        begins = [select(text).where(*here, func.substr(text, 1, len(BLOB)) == BLOB) for text in texts]
        found.update(text for text in connection.execute(union_all(*begins)).scalars() if REF.fullmatch(text))
    for data in _columns(table, LargeBinary):
        small = select(data).where(*here, func.length(data) <= _LARGEST_FRAME)
        for frame in connection.execute(small).scalars():
            found.update(in_frame(bytes(frame)))
    return Page(frozenset(found), last)


def _range(connection: Connection, table: Table, after: str, size: int) -> tuple[str | None, list[ColumnElement[bool]]]:
    """Return the last key of a page and the condition for its rows; a table without a key is one page."""
    key: Column[str] | None = next(iter(table.primary_key.columns), None)
    if key is None:
        return None, []
    bound = select(key).where(key > after).order_by(key).offset(size).limit(1)
    last = connection.execute(bound).scalar_one_or_none()
    return last, [key > after] if last is None else [key > after, key <= last]


def in_frame(data: bytes) -> set[str]:
    """Return what may be a reference in a checkpoint's bytes; one too many only keeps a blob."""
    return {match[0] for match in REF.finditer(data.decode("latin-1"))} if len(data) <= _LARGEST_FRAME else set()


def identity(connection: Connection) -> str:
    """Return the name by which a ledger is known where several share something, wherever it is reached from."""
    mine = insert_ignoring(facts, connection.dialect.name).values(name=_IDENTITY, value=new_id(), updated_at=now())
    connection.execute(mine)
    return str(connection.execute(select(facts.c.value).where(facts.c.name == _IDENTITY)).scalar_one())
