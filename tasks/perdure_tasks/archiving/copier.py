"""Copying one file into an archive, in the middle of which a process may die and another go on."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

from perdure_tasks.archiving.headers import manifest_line, member, padding
from perdure_tasks.archiving.pair import Pair
from perdure_tasks.archiving.state import OpenFile, State, quoted
from perdure_tasks.safe_files import is_made_up

CHUNK = 256 * 1024
#: How often a file that changes under the reader is read before it is taken (or left out) as it is.
READS = 3

# NONBLOCK: what was a file a moment ago may be a named pipe now, whose open would wait for a writer for ever.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SourceFailed(Exception):
    """A file of the tree cannot be read; trouble with writing the archive is another matter and not hidden in this.

    Args:
        reason: Why, without the path.
    """


class Copier:
    """Appends members behind the position of a state.

    Args:
        pair: The files to write.
        state: Position and counts; true after each chunk, so that it can be saved then.
        on_chunk: Called after each chunk with its bytes; may raise to stop.
    """

    def __init__(self, pair: Pair, state: State, on_chunk: Callable[[int], None]) -> None:
        self._pair, self._state, self._on_chunk = pair, state, on_chunk
        self._is_made_up = cache(is_made_up)  # of millions of files

    def add(self, path: str, status: os.stat_result, link: str = "") -> None:
        """Append a member without content: a folder or a symbolic link.

        Args:
            path: Its name in the archive.
            status: Its status.
            link: A symbolic link's target.
        """
        self.take_back()
        header = member(path, status, link=link)
        self._pair.tar.write(header)
        self._state.tar += len(header)

    def copy(self, source: Path, path: str) -> None:
        """Append a regular file: header, content, padding, manifest line.

        Args:
            source: Where it is.
            path: Its name in the archive.

        Raises:
            SourceFailed: It cannot be opened or read, or is no regular file any more. Nothing of it stays.
        """
        try:
            with os.fdopen(_open(source), "rb", buffering=0) as file:
                digest, size, is_steady = self._content(file, path)
        except SourceFailed:
            self.take_back()
            raise
        if not is_steady:
            self._state.note_changed(path)
        self._pair.tar.write(padding(size))
        line = manifest_line(digest, path)
        self._pair.manifest.write(line)
        self._finished(size, len(line))

    def take_back(self) -> None:
        """Remove what is there of a file that was not finished, if there is one."""
        if self._state.open is not None:
            self._pair.cut(self._state.tar, self._state.manifest)
            self._state.open = None

    def _content(self, file: BinaryIO, path: str) -> tuple[str, int, bool]:
        """Write header and content; return SHA-256, size and whether the file stood still meanwhile."""
        for reading in range(1, READS + 1):
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceFailed("is no regular file any more")
            if self._is_made_up(status.st_dev):
                raise SourceFailed("is made up by the kernel")
            digest = self._reading(file, path, status)
            is_steady = _same(status, os.fstat(file.fileno()))
            if digest and (is_steady or reading == READS):
                return digest, status.st_size, is_steady
            self.take_back()
        raise SourceFailed("shrank while it was read")

    def _reading(self, file: BinaryIO, path: str, status: os.stat_result) -> str | None:
        """Write header and content once; return the SHA-256, or None when the file ends before its size."""
        digest, left = self._taken_up(file, path, status)
        opened = self._state.open
        assert opened is not None
        while left:
            chunk = _read(file, min(CHUNK, left))
            if not chunk:
                return None
            self._pair.tar.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
            opened.copied += len(chunk)
            self._on_chunk(len(chunk))
        return digest.hexdigest()

    def _taken_up(self, file: BinaryIO, path: str, status: os.stat_result) -> tuple[hashlib._Hash, int]:
        """Return the hash of what is already copied and how much is left, with both files standing behind it."""
        state, tar = self._state, self._pair.tar
        if state.open is not None and state.open.is_still(path, status):
            digest = _hash_of(tar, state.open.content_at, state.open.copied)
            file.seek(state.open.copied)
            return digest, status.st_size - state.open.copied
        self.take_back()
        header = member(path, status, size=status.st_size)
        tar.write(header)
        file.seek(0)
        state.open = OpenFile(
            path=quoted(path),
            content_at=state.tar + len(header),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
        )
        return hashlib.sha256(), status.st_size

    def _finished(self, size: int, line: int) -> None:
        opened = self._state.open
        assert opened is not None
        self._state.tar = opened.content_at + size + len(padding(size))
        self._state.manifest += line
        self._state.files += 1
        self._state.bytes += size
        self._state.open = None


def _open(source: Path) -> int:
    try:
        return os.open(source, _FLAGS)
    except OSError as error:
        raise SourceFailed(error.strerror or str(error)) from error


def _read(file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise SourceFailed(error.strerror or str(error)) from error


def _hash_of(tar: BinaryIO, start: int, length: int) -> hashlib._Hash:
    """Return the hash of what an earlier attempt copied, leaving the archive open behind it."""
    digest = hashlib.sha256()
    tar.seek(start)
    while length:
        chunk = tar.read(min(CHUNK, length))
        assert chunk, "the archive is as long as its checkpoint says; that was checked when it was opened"
        digest.update(chunk)
        length -= len(chunk)
    tar.truncate()
    return digest


def _same(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
