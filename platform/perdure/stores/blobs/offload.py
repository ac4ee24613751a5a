"""Payloads above a threshold go to the blob store, and a short reference takes their place. Readers do not notice.

Whatever looks like a reference is offloaded too, however short, so that a stored value is a reference exactly when it
looks like one. With encryption, seal first and offload what comes out: blobs are then sealed as well.
"""

from __future__ import annotations

from typing import Final

from perdure.model.blob_ref import REF
from perdure.stores.blobs.blobs import BlobStore

DEFAULT_THRESHOLD_BYTES: Final = 256 * 1024
"""A row of this size is still quick to write and replicate; above it a table's pages serve mostly one value."""

_PREFIX: Final = "blob:"


class Offloader:
    """Puts large values elsewhere and gets them back.

    Args:
        blobs: where they go.
        threshold: values of more bytes than this are offloaded.
    """

    def __init__(self, blobs: BlobStore, threshold: int = DEFAULT_THRESHOLD_BYTES) -> None:
        self.blobs, self._threshold = blobs, threshold

    def text(self, value: str) -> str:
        """Return what to store for ``value``: itself, or a reference.

        Raises:
            StoreUnavailable: when it cannot be offloaded.
        """
        # A character has 1-4 bytes: most values are judged without being encoded.
        if len(value) * 4 <= self._threshold and not value.startswith(_PREFIX):
            return value
        encoded = value.encode()
        return value if not self._too_large(encoded) else self.blobs.put(encoded)

    def data(self, value: bytes) -> bytes:
        """Return what to store for ``value``: itself, or a reference.

        Raises:
            StoreUnavailable: when it cannot be offloaded.
        """
        return value if not self._too_large(value) else self.blobs.put(value).encode()

    def resolve_text(self, stored: str) -> str:
        """Return the value of what :meth:`text` returned.

        Raises:
            BlobNotFound, CorruptBlob, StoreUnavailable: when it was offloaded and cannot be read.
        """
        ref = reference(stored)
        return stored if ref is None else self.blobs.get(ref).decode()

    def resolve_data(self, stored: bytes) -> bytes:
        """Return the value of what :meth:`data` returned.

        Raises:
            BlobNotFound, CorruptBlob, StoreUnavailable: when it was offloaded and cannot be read.
        """
        ref = reference(stored)
        return stored if ref is None else self.blobs.get(ref)

    def _too_large(self, value: bytes) -> bool:
        return len(value) > self._threshold or value.startswith(_PREFIX.encode())


def reference(stored: str | bytes) -> str | None:
    """Return the blob reference that ``stored`` is, or None when it is the value itself. Collects live references."""
    if isinstance(stored, bytes):
        if not stored.startswith(_PREFIX.encode()):
            return None
        stored = stored.decode("ascii", errors="replace")
    return stored if REF.fullmatch(stored) else None
