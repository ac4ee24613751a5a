"""Large payloads by the hash of their content: stored once, checked whenever they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any, Final

from perdure.model.blob_ref import BLOB, REF
from perdure.model.storage_errors import BlobNotFound, CorruptBlob
from perdure.stores.backends.files import Files

_MARKS: Final = "ledgers"


class BlobStore:
    """Bytes on a disk or in an object store, named ``blob:sha256:<hex>``.

    Args:
        url: a path or an fsspec URL.
        fsync: flush each local write to the disk.
        storage_options: passed on to the fsspec file system.
    """

    def __init__(self, url: str, *, fsync: bool = True, **storage_options: Any) -> None:
        self.url = url
        self._files = Files(url, fsync=fsync, **storage_options)

    def put(self, data: bytes) -> str:
        """Store ``data`` durably and return its reference; the same bytes give the same reference.

        Raises:
            StoreFull: when there is no room; nothing of it is visible.
            StoreUnavailable: when it cannot be written.
        """
        ref = f"{BLOB}{sha256(data).hexdigest()}"
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
        if f"{BLOB}{sha256(data).hexdigest()}" != ref:
            raise CorruptBlob(f"{ref} in {self._files.url} is damaged: its {len(data)} bytes have another hash")
        return data

    def delete(self, ref: str) -> None:
        """Remove a blob; it is no error when there is none."""
        self._files.remove(_path(ref))

    def refs(self) -> Iterator[str]:
        """Yield the references of all blobs."""
        for shard in self._files.names(""):
            for name in self._files.names(shard):
                ref = f"{BLOB}{name}"
                if REF.fullmatch(ref):
                    yield ref

    def mark(self, owner: str) -> dict[str, float]:
        """Note who uses this store and return all who do, each with the time of its mark, seconds since the Unix epoch."""
        owners = self._files.names(_MARKS)
        if owner not in owners:
            self._files.write(f"{_MARKS}/{owner}", b"")
            owners.append(owner)
        return {name: self._files.modified(f"{_MARKS}/{name}") or 0.0 for name in owners}

    def sweep(self, live_refs: Collection[str], *, before: float) -> int:
        """Remove the blobs that nothing refers to and return how many there were.

        Args:
            live_refs: every reference that is in use, collected before this call.
            before: only blobs that were written last before this moment, seconds since the Unix epoch. Before the
                collecting of ``live_refs`` began by more than it takes from a ``put`` to the commit of the row that
                names it, and than clocks differ.
        """
        return sum(self._files.remove_old(_path(ref), before) for ref in self.refs() if ref not in live_refs)

    def health(self) -> None:
        """Write, read and remove a small file.

        Raises:
            StoreUnavailable: when one of these fails.
        """
        self._files.check()


def _path(ref: str) -> str:
    match = REF.fullmatch(ref)
    if match is None:
        raise BlobNotFound(f"{ref!r:.100} is not a blob reference; they look like blob:sha256:<64 hex digits>")
    return f"{match[1][:2]}/{match[1]}"
