"""Which blobs the ledger refers to, so that the others can be removed.

Every text of every table that there is is looked at, and not a list of columns that somebody has to remember to keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from perdure.alembic import PREFIX
from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS, NOW
from perdure.ledger.partitions.tables import OF_LEDGER
from perdure.model.blob_ref import BLOB, REF
from perdure.model.ids import new_id

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

#: Bytes of the largest checkpoint's frame that holds a reference in place of the state; see :mod:`perdure.stores.record`.
_LARGEST_FRAME = 1024
#: The columns of all tables: the table's name, the column's, whether it is the first one of a key of texts, or of a type
#: that holds texts of any length, or bytes. Partitions are read with the table that they are parts of.
_COLUMNS = {
    "sqlite": f"""
    SELECT t.name, c.name, c.pk = 1 AND (c.type = 'TEXT' OR c.type LIKE 'VARCHAR%'), c.type = 'TEXT', c.type = 'BLOB'
    FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name GLOB '{PREFIX}*' ORDER BY t.name, c.cid
    """,
    "postgresql": f"""
    SELECT t.relname, c.attname,
        c.attnum = k.indkey[0] AND c.atttypid IN (CAST('text' AS regtype), CAST('varchar' AS regtype)),
        c.atttypid = CAST('text' AS regtype), c.atttypid = CAST('bytea' AS regtype)
    FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid LEFT JOIN pg_index k ON k.indrelid = t.oid AND k.indisprimary
    WHERE t.oid IN ({OF_LEDGER}) AND c.attnum > 0 AND NOT c.attisdropped ORDER BY t.relname, c.attnum
    """,
}
_IDENTITY = "ledger_id"
_IDENTIFY = {
    dialect: "INSERT INTO perdure_facts (name, value, updated_at) "
    f"VALUES ('{_IDENTITY}', :mine, {NOW[dialect]}) ON CONFLICT DO NOTHING"
    for dialect in DIALECTS
}
_IDENTIFIED = f"SELECT value FROM perdure_facts WHERE name = '{_IDENTITY}'"


class Holder(NamedTuple):
    """A table that may hold references.

    Attributes:
        name: The table's.
        key: The column in whose order it is read; None where it is read at once.
        texts: Columns of texts.
        data: Columns of checkpoints' frames.
    """

    name: str
    key: str | None
    texts: tuple[str, ...]
    data: tuple[str, ...]


class Page(NamedTuple):
    """The references in some rows of a table, and the key from which to go on (None: that was the last page)."""

    references: set[str]
    next: str | None


def holders(connection: Where) -> list[Holder]:
    """Return the tables that may hold references.

    Dead letters first: what is replayed meanwhile comes to be at the end of the jobs.
    """
    found = []
    for name, columns in groupby(direct.rows(connection, _COLUMNS[connection.dialect.name], {}), itemgetter(0)):
        _, names, are_keys, are_texts, are_data = zip(*columns, strict=True)
        key = next(compress(names, are_keys), None)
        found.append(Holder(name, key, tuple(compress(names, are_texts)), tuple(compress(names, are_data))))
    tables = [table for table in found if table.texts or table.data]
    return sorted(tables, key=lambda table: (table.name != "perdure_dead_letters", table.name))


def references(connection: Where, table: Holder, after: str, size: int) -> Page:
    """Return the references in about ``size`` rows of a table, those whose key is above ``after``."""
    last, here = _range(connection, table, after, size)
    page = {"after": after, "last": last, "begin": BLOB, "most": _LARGEST_FRAME}

    def read(columns: Sequence[str], condition: str) -> Iterator[Any]:
        parts = [f'SELECT "{name}" FROM {table.name} WHERE {here} AND {condition.format(name)}' for name in columns]
        return (value for (value,) in direct.rows(connection, " UNION ALL ".join(parts), page)) if parts else iter(())

    texts = {text for text in read(table.texts, f'substr("{{}}", 1, {len(BLOB)}) = :begin') if REF.fullmatch(text)}
    return Page(texts.union(*(in_frame(bytes(frame)) for frame in read(table.data, 'length("{}") <= :most'))), last)


def _range(connection: Where, table: Holder, after: str, size: int) -> tuple[str | None, str]:
    """Return the last key of a page and the condition for its rows; a table without a key is one page."""
    if table.key is None:
        return None, "true"
    bound = f"SELECT {table.key} FROM {table.name} WHERE {table.key} > :after ORDER BY {table.key} LIMIT 1 OFFSET :size"
    [(last,)] = direct.rows(connection, bound, {"after": after, "size": size}) or [(None,)]
    return last, f"{table.key} > :after" + ("" if last is None else f" AND {table.key} <= :last")


def in_frame(data: bytes) -> set[str]:
    """Return what may be a reference in a checkpoint's bytes; one too many only keeps a blob."""
    return {match[0] for match in REF.finditer(data.decode("latin-1"))} if len(data) <= _LARGEST_FRAME else set()


def identity(connection: Where) -> str:
    """Return the name by which a ledger is known where several share something, wherever it is reached from."""
    direct.run(connection, _IDENTIFY[connection.dialect.name], {"mine": new_id()})
    [(mine,)] = direct.rows(connection, _IDENTIFIED, {})
    return str(mine)
