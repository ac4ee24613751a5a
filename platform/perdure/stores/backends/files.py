"""Files by path on a local disk or on any object store that fsspec knows, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from perdure.model.storage_errors import StoreError, StoreFull, StoreUnavailable

TEMPORARY_PREFIX: Final = ".tmp-"
"""Files of writes that have not ended, or never will; no reader looks at them."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Files:
    """The few operations that stores need, relative to one root, with clear errors.

    On a local disk a file is written beside its place, flushed to the disk and renamed into place, so that no crash
    leaves half of it visible. Object stores write an object whole or not at all by themselves.

    Args:
        url: a path or an fsspec URL (``/var/lib/app``, ``memory://x``, ``s3://bucket/prefix``).
        fsync: flush each local write to the disk. Without it a power failure can cost the last writes; a killed
            process never does.
        storage_options: passed on to the fsspec file system.
    """

    def __init__(self, url: str, *, fsync: bool = True, **storage_options: Any) -> None:
        self.url, self._fsync = url, fsync
        with self._translated("open"):
            self._fs, root = fsspec.core.url_to_fs(url, **storage_options)
        self._root = str(root).rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none when it does not exist."""
        with self._translated("list", path):
            full = self._full(path)
            self._fs.invalidate_cache(full)  # some object stores' listings are cached for ever otherwise
            try:
                entries = self._fs.ls(full, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            found = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries}
        return sorted(name for name in found if not name.startswith(TEMPORARY_PREFIX))

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, None when there is no such file."""
        with self._translated("read", path):
            try:
                return bytes(self._fs.cat_file(self._full(path)))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, path: str, data: bytes) -> None:
        """Make ``data`` the content of a file: all of it, durably, or nothing.

        Raises:
            StoreFull: when there is no room.
            StoreUnavailable: when it cannot be written for another reason.
        """
        full = self._full(path)
        with self._translated("write", path):
            if self._local:
                _replace_file(full, data, fsync=self._fsync)
            else:
                self._fs.makedirs(str(PurePosixPath(full).parent), exist_ok=True)
                self._fs.pipe_file(full, data)

    def remove(self, path: str) -> None:
        """Remove a file; it is no error when there is none."""
        with self._translated("remove", path), suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    def remove_old(self, path: str, before: float) -> bool:
        """Remove a file that was last written before a moment, and return whether it was.

        On a local disk one that is written at this very moment stays. An object store is asked for its time and then told
        to remove it, so there what is written between the two goes.

        Args:
            path: The file.
            before: Seconds since the Unix epoch.
        """
        if (written := self.modified(path)) is None or written >= before:
            return False
        if self._local:
            with self._translated("remove", path):
                return _remove_old(self._full(path), before)
        self.remove(path)
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; it is no error when there is none."""
        with self._translated("remove", path), suppress(FileNotFoundError):
            self._fs.rm(self._full(path), recursive=True)

    def modified(self, path: str) -> float | None:
        """Return when a file was last written, in seconds since the Unix epoch; None when there is no such file."""
        with self._translated("look at", path):
            try:
                when: datetime = self._fs.modified(self._full(path))
            except FileNotFoundError:
                return None
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()

    def check(self) -> None:
        """Write, read and remove a small file.

        Raises:
            StoreUnavailable: when one of these fails.
        """
        probe = f"{TEMPORARY_PREFIX}health-{uuid4().hex}"
        self.write(probe, b"ok")
        content = self.read(probe)
        self.remove(probe)
        if content != b"ok":
            raise StoreUnavailable(f"{self.url}: a file just written reads back as {content!r}; check the file system")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _translated(self, verb: str, path: str = "") -> Iterator[None]:
        where = f"{self.url}{'/' if path else ''}{path}"
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # every object store's client has exceptions of its own
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise StoreFull(f"{where}: no room left ({error}); nothing was written. Free some space") from error
            raise StoreUnavailable(f"{where}: cannot {verb}: {type(error).__name__}: {error}") from error


def _replace_file(path: str, data: bytes, *, fsync: bool) -> None:
    directory = os.path.dirname(path)
    _make_directories(directory, fsync=fsync)
    temporary = os.path.join(directory, f"{TEMPORARY_PREFIX}{uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if fsync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # also a time limit or SIGTERM that strikes in the middle
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if fsync:
        _fsync_directory(directory)  # the rename itself is lost in a power failure otherwise


def _remove_old(path: str, before: float) -> bool:
    """Take a file away, and put it back when it turns out to have been replaced by a new one before that."""
    taken = os.path.join(os.path.dirname(path), f"{TEMPORARY_PREFIX}{uuid4().hex}")
    try:
        os.rename(path, taken)
    except FileNotFoundError:
        return False
    is_old = os.stat(taken).st_mtime < before
    if not is_old:
        with suppress(FileExistsError):  # it was written once more
            os.link(taken, path)
    os.unlink(taken)
    return is_old


def _make_directories(path: str, *, fsync: bool) -> None:
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        _make_directories(parent, fsync=fsync)
    with suppress(FileExistsError):
        os.mkdir(path)
    if fsync:
        _fsync_directory(parent)


def _fsync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
