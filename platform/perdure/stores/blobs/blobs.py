"""Large payloads by the hash of their content: stored once, checked whenever they are read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from typing import Any, Final

from perdure.model.storage_errors import BlobNotFound, CorruptBlob
from perdure.stores.backends.files import Files

REF: Final = re.compile(r"blob:sha256:([0-9a-f]{64})")

DEFAULT_MIN_AGE_S: Final = 24 * 3600.0
"""A blob is written before the row that names it is committed; a sweep leaves younger blobs alone."""


class BlobStore:
    """Bytes on a disk or in an object store, named ``blob:sha256:<hex>``.

    Args:
        url: a path or an fsspec URL.
        fsync: flush each local write to the disk.
        clock: gives the time in seconds since the Unix epoch.
        storage_options: passed on to the fsspec file system.
    """

    def __init__(
        self, url: str, *, fsync: bool = True, clock: Callable[[], float] = time.time, **storage_options: Any
    ) -> None:
        self._files = Files(url, fsync=fsync, **storage_options)
        self._clock = clock

    def put(self, data: bytes) -> str:
        """Store ``data`` durably and return its reference; the same bytes give the same reference.

        Raises:
            StoreFull: when there is no room; nothing of it is visible.
            StoreUnavailable: when it cannot be written.
        """
        ref = f"blob:sha256:{sha256(data).hexdigest()}"
        # Also when it is there already: this makes it young again, so that a sweep that has judged it unused by the
        # rows of yesterday leaves it to the row of today; and it mends a damaged copy.
        self._files.write(_path(ref), data)
        return ref

    def get(self, ref: str) -> bytes:
        """Return the bytes of ``ref``.

        Raises:
            BlobNotFound: when nothing is stored under it.
            CorruptBlob: when what is stored has another hash.
            StoreUnavailable: when the store cannot be reached.
        """
        data = self._files.read(_path(ref))
        if data is None:
            raise BlobNotFound(
                f"{ref} is not in {self._files.url}. Is this the blob store that the submitter uses, "
                "and was it swept or restored from a backup that is older than the ledger?"
            )
        if f"blob:sha256:{sha256(data).hexdigest()}" != ref:
            raise CorruptBlob(f"{ref} in {self._files.url} is damaged: its {len(data)} bytes have another hash")
        return data

    def delete(self, ref: str) -> None:
        """Remove a blob; it is no error when there is none."""
        self._files.remove(_path(ref))

    def refs(self) -> Iterator[str]:
        """Yield the references of all blobs."""
        for shard in self._files.names(""):
            for name in self._files.names(shard):
                ref = f"blob:sha256:{name}"
                if REF.fullmatch(ref):
                    yield ref

    def sweep(self, live_refs: Collection[str], *, min_age: float = DEFAULT_MIN_AGE_S) -> int:
        """Remove the blobs that nothing refers to and return how many there were.

        Args:
            live_refs: every reference that is in use, collected before this call.
            min_age: seconds that a blob must have been left alone. Longer than it takes from a ``put`` to the commit
                of the row that names it, plus the time that collecting ``live_refs`` took.
        """
        removed = 0
        for ref in self.refs():
            if ref not in live_refs and self._old(ref, min_age):
                self.delete(ref)
                removed += 1
        return removed

    def _old(self, ref: str, min_age: float) -> bool:
        written = self._files.modified(_path(ref))
        return written is not None and self._clock() - written >= min_age

    def health(self) -> None:
        """Write, read and remove a small file.

        Raises:
            StoreUnavailable: when one of these fails.
        """
        self._files.check()


def _path(ref: str) -> str:
    match = REF.fullmatch(ref)
    if match is None:
        raise BlobNotFound(f"{ref[:100]!r} is not a blob reference; they look like blob:sha256:<64 hex digits>")
    return f"{match[1][:2]}/{match[1]}"
