"""``tables.import_csv``: a CSV file into a database table, each row exactly once.

Rows go in by batches. Each batch is one transaction on the target database, together with a marker in its table
``perdure_imports`` that says how far the import is. A job that is killed goes on behind the last batch that was
committed; bad records are left in a reject file with their line and the reason.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict

from perdure import Discard, JobContext, RetryPolicy
from perdure.system.later import later
from perdure_tasks.importing.mode import Mode
from perdure_tasks.importing.records import Record, RecordReader
from perdure_tasks.importing.rejects import RejectFile
from perdure_tasks.safe_files import checked_path, open_regular

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from perdure_tasks.importing import columns
    from perdure_tasks.importing import marker as markers
    from perdure_tasks.importing import target as targets
else:  # SQLAlchemy is for who imports
    columns, markers, targets = later("perdure_tasks.importing", "columns", "marker", "target")

NAME = "tables.import_csv"
BULKHEAD = "normal"
RETRY = RetryPolicy(max_retries=5, base=1.0, max_delay=60.0)
JOB_TIMEOUT_S = None  # as long as it takes: checkpoints make it stoppable at any time

#: A batch ends when it has so many bytes, however few rows these are: it is held in memory.
BATCH_BYTES = 4 * 1024 * 1024


class ImportResult(TypedDict):
    """What an import leaves as its job's result.

    Attributes:
        rows: Rows imported (in mode ``upsert``: inserted or replaced).
        rejected: Records rejected.
        reject_path: The file that has them, or None when there are none.
    """

    rows: int
    rejected: int
    reject_path: str | None


def import_csv(
    ctx: JobContext,
    path: str,
    database: str,
    table: str,
    *,
    mode: Mode = "append",
    key: list[str] | None = None,
    reject_path: str | None = None,
    batch_rows: int = 1000,
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> ImportResult:
    """Import a CSV file whose first record names columns of the table.

    Fields are read as the table's columns want them: ISO 8601 for dates and times (without an offset: UTC), hexadecimal
    digits for binary columns, JSON for JSON and arrays. An empty field is NULL, or an empty text where NULL is not
    allowed.

    Args:
        ctx: The job. Its idempotency key names the import: it is done once, however often it is tried.
        path: The file, on the worker.
        database: An SQLAlchemy URL; or a name, for which the worker's environment has ``PERDURE_DATABASE_URL_<NAME>``.
            A URL is stored with the job: use a name when it has a password.
        table: The table, as ``name`` or ``schema.name``.
        mode: ``append`` rejects a row whose key is there already; ``upsert`` replaces that row.
        key: The columns that tell rows apart in mode ``upsert``; the primary key by default.
        reject_path: Where rejected records go; nothing may be there before. By default it is beside the file,
            ``<path>.<table>.rejects.csv``, or, when that is taken, a name with the import's token before ``.rejects``.
            Cells that spreadsheets would take for formulas have an apostrophe before them.
        batch_rows: Rows of one transaction.
        encoding: The file's encoding; a byte order mark of UTF-8 is skipped.
        delimiter: What separates fields.

    Raises:
        Discard: File, table or call do not fit each other, the file changed since the import began, it is no regular
            file, ``PERDURE_FILE_ROOTS`` does not allow it, or something else is at ``reject_path``.
        ImportOvertaken: Another run of this job moved on meanwhile.
        OSError: The file cannot be read.
        sqlalchemy.exc.OperationalError: The database is away; the next attempt goes on behind the last batch.
    """
    if batch_rows < 1:
        raise Discard(f"batch_rows={batch_rows}: must be at least 1.")
    source = checked_path("path", Path(path))
    token = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:12]
    places = _reject_places(source, table, reject_path, token)
    engine = targets.open_engine(database)
    with os.fdopen(open_regular("path", source), "rb") as file, engine.connect() as connection:
        status = os.fstat(file.fileno())
        what = markers.Source(table, str(source), status.st_size, status.st_mtime_ns)
        header, behind_header = _header(file, encoding, delimiter)
        target = targets.Target(connection, table, header, mode, key)
        run = _Import(ctx, connection, target, RejectFile(places, token, header), what, batch_rows)
        reader = RecordReader(file, encoding=encoding, delimiter=delimiter, **run.position(behind_header))
        return run.finish(reader)


class _Import:
    """One attempt at an import."""

    def __init__(
        self,
        ctx: JobContext,
        connection: Connection,
        target: targets.Target,
        rejects: RejectFile,
        source: markers.Source,
        batch_rows: int,
    ) -> None:
        self._ctx, self._connection, self._target = ctx, connection, target
        self._rejects, self._source, self._batch_rows = rejects, source, batch_rows
        self._key = ctx.idempotency_key
        self._rows = _row_maker(target)
        markers.ensure_table(connection)
        try:
            self._marker = markers.begin(connection, self._key, source)
        except markers.Overlap as known:
            raise Discard(
                f"{source.source} is not the file with which import {self._key!r} began: {known}. "
                "Submit a new job, with another idempotency key, for the rest."
            ) from None
        size = self._marker.reject_bytes
        # Of an import that was finished before, the file is its owner's by now, who may have changed it.
        self._owns_rejects = not self._marker.is_finished or rejects.left_open(size)
        if not self._marker.is_finished:
            rejects.find(size)

    def position(self, behind_header: dict[str, int]) -> dict[str, int]:
        """Return offset and line at which to read on."""
        if self._marker.byte_offset == 0:
            return behind_header
        return {"offset": self._marker.byte_offset, "line": self._marker.line}

    def finish(self, reader: RecordReader) -> ImportResult:
        """Import what is left and return the counts of the whole import."""
        for batch in () if self._marker.is_finished else _batches(reader, self._batch_rows):
            self._commit(batch, reader)
        if not self._marker.is_finished:
            self._commit([], reader, is_last=True)
        size = self._marker.reject_bytes
        if self._owns_rejects:
            self._rejects.finish(size)
        reject_path = str(self._rejects.path) if size else None
        return {"rows": self._marker.rows, "rejected": self._marker.rejected, "reject_path": reject_path}

    def _commit(self, batch: list[Record], reader: RecordReader, *, is_last: bool = False) -> None:
        rows, records, rejects = [], [], []
        for record in batch:
            try:
                rows.append(self._row(record))
                records.append(record)
            except columns.BadValue as error:
                rejects.append((record.line, str(error), record.fields))
        with self._connection.begin():
            markers.claim_batch(self._connection, self._key, self._marker, reader.offset)
            for index, reason in self._target.write(rows):
                rejects.append((records[index].line, reason, records[index].fields))
            rejects.sort(key=lambda reject: reject[0])
            moved = self._marker.moved(
                byte_offset=reader.offset,
                line=reader.line,
                rows=len(batch) - len(rejects),
                rejected=len(rejects),
                reject_bytes=self._rejects.append(self._marker.reject_bytes, rejects),
            )
            self._marker = moved.finished() if is_last else moved
            markers.save(self._connection, self._key, self._marker)
        self._report()

    def _row(self, record: Record) -> dict[str, object]:
        if record.error is not None:
            raise columns.BadValue(record.error)
        return self._rows.row(record.fields)

    def _report(self) -> None:
        here = self._marker
        # The marker is what counts; this tells people, and lets the job be cancelled or handed back between batches.
        state = {"byte_offset": here.byte_offset, "rows": here.rows, "rejected": here.rejected}
        self._ctx.checkpoint.save(state)
        self._ctx.progress(here.byte_offset, self._source.source_size, f"{here.rows} rows, {here.rejected} rejected")


def _reject_places(source: Path, table: str, reject_path: str | None, token: str) -> list[Path]:
    """Return where the rejects may go; only the folder's symbolic links are followed."""
    if not reject_path:
        names = [f"{source.name}.{table}.rejects.csv", f"{source.name}.{table}.{token}.rejects.csv"]
        return [source.with_name(name) for name in names]
    given = Path(reject_path)
    place = checked_path("reject_path", given.parent) / given.name
    if given.resolve() == source:
        raise Discard(f"reject_path {reject_path!r} is the file to import.")
    return [place]


def _header(file: BinaryIO, encoding: str, delimiter: str) -> tuple[list[str], dict[str, int]]:
    try:
        reader = RecordReader(file, encoding=encoding, delimiter=delimiter)
    except ValueError as error:
        raise Discard(str(error)) from None
    first = next(reader, None)
    if first is None:
        raise Discard("the file is empty; its first record must name the columns.")
    if first.error:
        raise Discard(f"the file's first record, which must name the columns, {first.error}.")
    return [name.strip() for name in first.fields], {"offset": reader.offset, "line": reader.line}


def _row_maker(target: targets.Target) -> columns.RowMaker:
    try:
        return columns.RowMaker(target.columns)
    except columns.UnsupportedColumn as error:
        raise Discard(f"table {target.table.fullname}: {error}.") from None


def _batches(reader: RecordReader, rows: int) -> Iterator[list[Record]]:
    """Yield records in batches; when one is yielded, the reader stands behind its last record."""
    batch: list[Record] = []
    began = reader.offset
    for record in reader:
        batch.append(record)
        if len(batch) >= rows or reader.offset - began >= BATCH_BYTES:
            yield batch
            batch, began = [], reader.offset
    if batch:
        yield batch
