"""How far an import is, kept in the target database and moved in the transaction that writes the rows.

So rows and marker are both there or both not, whatever is killed when: each row is imported exactly once. Moving it is
a compare-and-set: of two runs that believe to own the import, only one can move it, and the other writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Column, Connection, DateTime, MetaData, String, Table, Text, func, select, update
from sqlalchemy.exc import DBAPIError

from perdure_tasks.errors import ImportOvertaken

imports = Table(
    "perdure_imports",
    MetaData(),
    Column("job_key", String(255), primary_key=True),
    Column("target", String(255), nullable=False),
    Column("source", Text, nullable=False),
    Column("source_size", BigInteger, nullable=False),
    Column("source_mtime_ns", BigInteger, nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("reject_bytes", BigInteger, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
)


@dataclass(frozen=True, slots=True)
class Source:
    """What is imported, and into what.

    Attributes:
        target: The table.
        source: Path of the file.
        source_size: Its size in bytes.
        source_mtime_ns: Its modification time in nanoseconds since the epoch.
    """

    target: str
    source: str
    source_size: int
    source_mtime_ns: int


@dataclass(frozen=True, slots=True)
class Marker:
    """How far an import is.

    Attributes:
        byte_offset: Bytes of the file that are done; 0 before the header.
        line: Number of the line that comes next.
        rows: Rows imported.
        rejected: Records rejected.
        reject_bytes: Size of the reject file.
        is_finished: Whether the whole file is done.
    """

    byte_offset: int = 0
    line: int = 1
    rows: int = 0
    rejected: int = 0
    reject_bytes: int = 0
    is_finished: bool = False

    def moved(self, *, byte_offset: int, line: int, rows: int, rejected: int, reject_bytes: int) -> Marker:
        """Return the marker behind one more batch.

        Args:
            byte_offset: Where the batch ends.
            line: Number of the line behind it.
            rows: Rows that it added.
            rejected: Records that it rejected.
            reject_bytes: Size of the reject file after it.
        """
        return replace(
            self,
            byte_offset=byte_offset,
            line=line,
            rows=self.rows + rows,
            rejected=self.rejected + rejected,
            reject_bytes=reject_bytes,
        )

    def finished(self) -> Marker:
        """Return this marker, at the end of the file."""
        return replace(self, is_finished=True)


class Overlap(Exception):
    """The key belongs to an unfinished import of another file, or of this one before it changed."""


def ensure_table(connection: Connection) -> None:
    """Make the table of markers if it is not there."""
    with connection.begin():
        try:
            with connection.begin_nested():
                imports.create(connection, checkfirst=True)
        except DBAPIError:  # two first imports at once: the other one made it
            imports.create(connection, checkfirst=True)


def begin(connection: Connection, key: str, source: Source) -> Marker:
    """Return where to go on with an import, beginning it if need be.

    Args:
        connection: Outside of a transaction.
        key: The job's key, the same for each of its attempts.
        source: What is imported.

    Raises:
        Overlap: The key's import is unfinished and of another file.
    """
    with connection.begin():
        row = connection.execute(select(imports).where(imports.c.job_key == key)).one_or_none()
        known = Source(row.target, row.source, row.source_size, row.source_mtime_ns) if row else None
        if row is not None and known == source:
            return Marker(row.byte_offset, row.line, row.rows, row.rejected, row.reject_bytes, row.finished_at is not None)
        if row is not None and row.finished_at is None:
            raise Overlap(f"{row.source} of {row.source_size} bytes, {row.byte_offset} of which are in {row.target}")
        # A finished import of something else: the key's time was over in the ledger and it was used again.
        connection.execute(imports.delete().where(imports.c.job_key == key))
        connection.execute(imports.insert().values(job_key=key, **_columns(source), **_values(Marker())))
        return Marker()


def claim_batch(connection: Connection, key: str, marker: Marker, byte_offset: int) -> None:
    """Move the offset over a batch, in whose transaction this is the first statement: it holds off other runs.

    Raises:
        ImportOvertaken: Another run moved it first.
    """
    here = imports.c.job_key == key, imports.c.byte_offset == marker.byte_offset, imports.c.finished_at.is_(None)
    moved = connection.execute(update(imports).where(*here).values(byte_offset=byte_offset))
    if moved.rowcount != 1:
        raise ImportOvertaken(
            f"another run of import {key!r} went on behind byte {marker.byte_offset}; this one stops and wrote nothing."
        )


def save(connection: Connection, key: str, marker: Marker) -> None:
    """Record the marker behind a batch that was claimed in this transaction."""
    connection.execute(update(imports).where(imports.c.job_key == key).values(**_values(marker)))


def _columns(source: Source) -> dict[str, object]:
    return {name: getattr(source, name) for name in Source.__slots__}


def _values(marker: Marker) -> dict[str, object]:
    counts = {name: getattr(marker, name) for name in Marker.__slots__ if name != "is_finished"}
    return {**counts, "updated_at": func.now(), "finished_at": func.now() if marker.is_finished else None}
