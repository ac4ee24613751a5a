"""A service's own data on several stores, with the quorum, verification and repair of replicated checkpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from perdure.model.codec import codec
from perdure.model.storage_errors import StaleWrite
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.record import CheckpointKey, CheckpointRecord, check_name
from perdure.stores.replicated.divergence import Summary
from perdure.stores.replicated.replicated import DEFAULT_TIMEOUT_S, ReplicatedStore

#: Times that a writer who loses a race tries again.
TRIES: Final = 5


class Copy(Struct, frozen=True):
    """A version of a value that is still there.

    Args:
        value: the value; None when it was deleted.
        saved_at: when it was put, in seconds since the Unix epoch.
        stores: the stores that hold it.
        confirmed: whether these are as many as must acknowledge a ``put``, or nobody can forge it.
    """

    value: Any
    saved_at: float
    stores: tuple[str, ...]
    confirmed: bool


class ReplicatedData:
    """Values by name, each on all of several stores. Thread-safe; the last ``put`` wins.

    A minority of the stores may be away, late, damaged, emptied or lying. What counts is said in docs/checkpoints.md:
    without ``authenticated`` a value counts only when a majority holds the same.

    Args:
        stores: where copies are, folders and databases of these data's own: three or more, with different names, such as
            :class:`~perdure.stores.FilesystemStore` and :class:`~perdure.stores.RedisStore`.
        namespace: what the data are called: characters as names have.
        write_quorum: copies that must be written; by default more than half.
        timeout: seconds that a store is waited for.
        authenticated: whether the stores' codec has a key, so that nobody else can make a value up.

    Raises:
        InvalidRecord: the namespace cannot be stored.
        ValueError: two stores have one name, or so many stores cannot give that quorum.
    """

    def __init__(
        self,
        stores: Sequence[CheckpointStore],
        namespace: str,
        *,
        write_quorum: int | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        authenticated: bool = False,
    ) -> None:
        self._namespace = check_name("namespace", namespace)
        self._store = ReplicatedStore(
            stores, write_quorum=write_quorum, timeout=timeout, authenticated=authenticated, name=namespace
        )
        self._confirming = 1 if authenticated else self._store.quorum.write

    def put(self, name: str, value: Any) -> None:
        """Write a value to all stores; returns when a quorum has it.

        Args:
            name: 1-128 characters of ``A-Z a-z 0-9 _ . : @ + = -``.
            value: anything that JSON can carry, and comes back as it is.

        Raises:
            Unserialisable: the value has no faithful JSON form.
            InsufficientReplicas: too few stores work. It may be on some: put it again.
            StaleWrite: others put values under this name at the same time, again and again.
        """
        self._write(name, codec.encode(value, what=f"value {name!r}").encode())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the newest value that a quorum vouches for, and mend the stores that lack it.

        Raises:
            InsufficientReplicas: too few stores answer to know what the newest is; :meth:`recover` says what is left.
        """
        record = self._store.load(self._namespace, name)
        return default if record is None or record.cleared else codec.decode(record.data)

    def delete(self, name: str) -> None:
        """Forget a value: a version like any other, so that a store that was away does not bring it back.

        Raises:
            InsufficientReplicas: too few stores work.
            StaleWrite: as for :meth:`put`.
        """
        self._write(name, b"")

    def names(self) -> list[str]:
        """Return the names of all values, sorted.

        Raises:
            InsufficientReplicas: too few stores can be scanned to see every one.
        """
        found = {key.name for key in scan_all(self._store) if key.job_id == self._namespace}
        return sorted(name for name in found if not self._is_deleted(name))

    def recover(self, name: str) -> list[Copy]:
        """Return all good copies that are left of a value, the newest first, changing nothing.

        For when :meth:`get` cannot say: look at what there is, and ``put`` what you trust. Nothing is repaired from a copy
        that too few stores hold.
        """
        held = self._store.inspect(CheckpointKey(self._namespace, name)).held
        return [self._copy(record, held[record]) for record in sorted(held, key=lambda each: each.version, reverse=True)]

    def verify(self) -> Summary:
        """Compare all copies of all values; change nothing.

        Raises:
            InsufficientReplicas: too few stores can be scanned to see every value.
        """
        return self._store.verify()

    def repair(self) -> Summary:
        """Bring every store up to the newest value that counts of every name, also one that was away or is new.

        Raises:
            InsufficientReplicas: too few stores can be scanned to see every value.
        """
        return self._store.repair()

    async def put_async(self, name: str, value: Any) -> None:
        """Write a value as :meth:`put` does, in a thread; do not change it meanwhile."""
        await asyncio.to_thread(self.put, name, value)

    async def get_async(self, name: str, default: Any = None) -> Any:
        """Return a value as :meth:`get` does; the stores are read in threads."""
        return await asyncio.to_thread(self.get, name, default)

    async def delete_async(self, name: str) -> None:
        """Forget a value as :meth:`delete` does, in a thread."""
        await asyncio.to_thread(self.delete, name)

    def _write(self, name: str, data: bytes) -> None:
        for tries_left in reversed(range(TRIES)):
            newest = self._store.head(self._namespace, name)
            # By the clock, so that what a writer left behind on too few stores is never met again under the same number.
            seq = max(time.time_ns() // 1000, newest.seq + 1 if newest is not None else 1)
            record = CheckpointRecord(self._namespace, name, seq=seq, fence=0, data=data, saved_at=time.time())
            try:
                self._store.save(record)
            except StaleWrite:  # somebody else was faster
                if not tries_left:
                    raise
            else:
                return

    def _is_deleted(self, name: str) -> bool:
        record = self._store.load(self._namespace, name)
        return record is None or record.cleared

    def _copy(self, record: CheckpointRecord, stores: frozenset[str]) -> Copy:
        value = None if record.cleared else codec.decode(record.data)
        return Copy(value, record.saved_at, tuple(sorted(stores)), len(stores) >= self._confirming)
