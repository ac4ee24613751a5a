"""CSV records with the byte offset behind each, so that another process can go on there."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: The longest record, in bytes. A quote that is never closed swallows so much before it is noticed.
MAX_RECORD = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a CSV file.

    Attributes:
        line: Number of its first line, 1 for the file's first.
        fields: Its fields; what could be read of them when it is malformed.
        error: Why it is malformed, or None.
    """

    line: int
    fields: list[str]
    error: str | None = None


class RecordReader:
    """Reads records from an offset on, one at a time (RFC 4180; line ends within quotes belong to their field).

    Attributes:
        offset: Bytes of the file up to the end of the last record that was read.
        line: Number of the line that comes next.

    Args:
        file: The file.
        encoding: One in which a line end is the byte 0x0A: UTF-8, Latin-1, Windows-1252 and others, but not UTF-16.
        delimiter: What separates fields.
        offset: Where to begin; behind a record.
        line: Number of the line there.

    Raises:
        ValueError: The encoding or the delimiter cannot be used.
    """

    def __init__(
        self, file: BinaryIO, *, encoding: str = "utf-8", delimiter: str = ",", offset: int = 0, line: int = 1
    ) -> None:
        self._encoding, self._delimiter = _checked_encoding(encoding), delimiter
        # The module's own bound, 128 KiB a field, is one for the process; records have a bound of their own here.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))
        self._file = file
        self._lines = _Lines(file, self._encoding)
        self._parser = self._new_parser()
        self.offset, self.line = offset, line
        self._go_to(offset)
        if offset == 0 and self._encoding == "utf-8" and file.read(3) != codecs.BOM_UTF8:
            self._go_to(0)
        self.offset = file.tell()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        while True:
            self._lines.start_record()
            try:
                fields = next(self._parser)
            except csv.Error as error:
                return self._malformed(str(error))
            line = self._advance(self._lines.bytes, self._lines.count)
            if fields:  # an empty line is no record
                return Record(line, fields, self._undecodable())

    def _undecodable(self) -> str | None:
        return f"has bytes that are not {self._encoding}" if self._lines.is_undecodable else None

    def _malformed(self, reason: str) -> Record:
        self._parser = self._new_parser()
        if self._lines.has_ended or self._lines.is_too_long:
            # Most likely a quote that is never closed: what follows its line is not lost with it.
            return self._first_line_of_endless()
        text = self._lines.text
        return Record(self._advance(self._lines.bytes, self._lines.count), [text.rstrip("\r\n")], reason)

    def _first_line_of_endless(self) -> Record:
        self._go_to(self.offset)
        self._lines.start_record()
        text = self._lines.whole_line()
        reason = "a quote is not closed" if not self._lines.is_too_long else f"is longer than {MAX_RECORD} bytes"
        return Record(self._advance(self._lines.bytes, 1), [text.rstrip("\r\n")], reason)

    def _advance(self, size: int, lines: int) -> int:
        first = self.line
        self.offset += size
        self.line += lines
        return first

    def _go_to(self, offset: int) -> None:
        self._file.seek(offset)

    def _new_parser(self) -> Iterator[list[str]]:
        try:
            return csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        except TypeError as error:
            raise ValueError(f"delimiter {self._delimiter!r:.20} cannot be used: {error}") from None


class _Lines:
    """The lines of one record after the other, counted; an iterator that can raise and go on, as no generator can."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.start_record()

    def start_record(self) -> None:
        self.bytes = self.count = 0
        self.text = ""
        self.is_undecodable = self.is_too_long = self.has_ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_RECORD + 1)
        if not raw:
            self.has_ended = True
            raise StopIteration
        self.bytes += len(raw)
        self.count += 1
        if self.bytes > MAX_RECORD:
            self.is_too_long = True
            raise csv.Error("too long")
        text = self._decoded(raw)
        self.text += text
        return text

    def whole_line(self) -> str:
        """Return the beginning of the next line, having read all of it."""
        raw = piece = self._file.readline(MAX_RECORD + 1)
        self.bytes = len(raw)
        while not piece.endswith(b"\n") and (piece := self._file.readline(MAX_RECORD)):
            self.bytes += len(piece)
            self.is_too_long = True
        return self._decoded(raw[:1000])

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            self.is_undecodable = True
            return raw.decode(self._encoding, "backslashreplace")


def _checked_encoding(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        # "utf-8-sig" is UTF-8 whose byte order mark is stripped, which is done for "utf-8" as well.
        encoding = "utf-8" if codec.name in ("utf-8", "utf-8-sig") else codec.name
        if "\r\n,".encode(encoding) == b"\r\n,":
            return encoding
    except LookupError:
        pass
    raise ValueError(f"encoding {name!r:.40} cannot be used: it is unknown, or its line ends are not the byte 0x0A.")
