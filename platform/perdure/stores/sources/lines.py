"""The lines of a file, resumed by byte offset."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from perdure.model.storage_errors import CursorMismatch
from perdure.stores.sources.cursor import _count

_READ_BUFFER_BYTES: Final = 1024 * 1024


class BinaryLines:
    """The lines of a file as bytes, each with its line end. Position: the byte offset of the next line.

    Args:
        path: the file. Lines may be added at its end while it is read; what was read must not change.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def open(self, position: int | None) -> Iterator[tuple[bytes, int]]:
        """Yield the lines from an offset on; see :meth:`Cursor.open`."""
        offset = _count(position)
        file = self._path.open("rb", buffering=_READ_BUFFER_BYTES)
        try:
            self._seek(file, offset)
        except BaseException:
            file.close()
            raise
        return _lines(file, offset)

    def _seek(self, file: BinaryIO, offset: int) -> None:
        size = os.fstat(file.fileno()).st_size
        if offset > size:
            raise CursorMismatch(
                f"{self._path}: cannot go on at byte {offset}, the file has {size}: it was cut short or replaced. "
                "Clear the checkpoint to start again"
            )
        if 0 < offset < size:
            # A replaced file has seldom a line end just there. A last line without one is fine as long as it is last.
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                raise CursorMismatch(
                    f"{self._path}: byte {offset} is not the beginning of a line: the file was replaced, or its last "
                    "line had no end when it was read. Clear the checkpoint to start again"
                )
        file.seek(offset)

    def done(self, position: int | None) -> float:
        """Return the number of bytes before ``position``."""
        return _count(position)

    def total(self) -> float:
        """Return the size of the file in bytes."""
        return self._path.stat().st_size


class TextLines:
    """The lines of a file as text, each with ``\\n`` at its end, as ``open()`` gives them. Position: a byte offset.

    Args:
        path: the file.
        encoding: one in which a line end is the byte 0x0A and nothing else is: UTF-8, ASCII, ISO 8859-x, CP125x...
        errors: what to do with bytes that are no text, as for ``bytes.decode``.

    Raises:
        LookupError: when there is no such encoding.
        ValueError: when lines cannot be found in it by bytes (UTF-16, UTF-32...).
    """

    def __init__(self, path: str | os.PathLike[str], encoding: str = "utf-8", errors: str = "strict") -> None:
        if "\n".encode(encoding)[-1:] != b"\n" or "Ċ\n".encode(encoding, "replace").count(b"\n") != 1:
            raise ValueError(f"{encoding} has no line ends that can be found by bytes; convert {path} to UTF-8 first")
        self._lines = BinaryLines(path)
        self._encoding, self._errors = encoding, errors
        if codecs.lookup(encoding).name == "utf-8-sig":
            self._encoding = "utf-8"
        self._path = path

    def open(self, position: int | None) -> Iterator[tuple[str, int]]:
        """Yield the lines from an offset on; see :meth:`Cursor.open`."""
        return self._decoded(self._lines.open(position), first=not position)

    def _decoded(self, lines: Iterator[tuple[bytes, int]], first: bool) -> Iterator[tuple[str, int]]:
        for line, after in lines:
            if first:
                line, first = line.removeprefix(codecs.BOM_UTF8) if self._encoding == "utf-8" else line, False
            if line.endswith(b"\r\n"):
                line = line[:-2] + b"\n"
            yield line.decode(self._encoding, self._errors), after

    def done(self, position: int | None) -> float:
        """Return the number of bytes before ``position``."""
        return self._lines.done(position)

    def total(self) -> float:
        """Return the size of the file in bytes."""
        return self._lines.total()


def _lines(file: BinaryIO, offset: int) -> Iterator[tuple[bytes, int]]:
    with file:
        for line in file:
            offset += len(line)
            yield line, offset
