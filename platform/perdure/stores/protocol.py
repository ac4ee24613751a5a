"""What every checkpoint store does, whatever it stores in. All implementations pass one contract test suite.

A store keeps the last two versions of each checkpoint, so that one damaged version costs one save and not the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from perdure.model.storage_errors import CorruptRecord
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version

VERSIONS_KEPT: Final = 2


class StoredVersion(Struct, frozen=True):
    """One version as a store holds it: a good record, or the damage that was found in its place.

    Args:
        version: the version that the store says this is. Of a damaged copy it is a claim and nothing more.
        record: the record when it is good.
        damage: what is wrong when it is not.
    """

    version: Version
    record: CheckpointRecord | None = None
    damage: CorruptRecord | None = None


class Damage(Struct, frozen=True):
    """A damaged copy that a reader came across.

    Args:
        store: the name of the store that holds it.
        key: the checkpoint.
        version: the version that it claims to be.
        reason: what is wrong with it.
    """

    store: str
    key: CheckpointKey
    version: Version
    reason: str


DamageCallback = Callable[[Damage], None]


class ScanPage(NamedTuple):
    """Some of the checkpoints of a store, and where to go on (None: that was the last page)."""

    keys: tuple[CheckpointKey, ...]
    next: str | None


@runtime_checkable
class CheckpointStore(Protocol):
    """Keeps the checkpoints of jobs. Implementations are safe to use from several threads.

    Every method raises :class:`~perdure.model.storage_errors.StoreUnavailable` when the store cannot be reached.
    """

    @property
    def name(self) -> str:
        """How reports call this store."""

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` durably as the newest version of its place. Saving the same record again changes nothing.

        Raises:
            StaleWrite: when a newer version is stored, or this version with other data. Nothing was changed.
            StoreFull: when there is no room; nothing of it is visible.
        """

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record, or None. Damaged copies are passed over and reported.

        Raises:
            MissingKey: when a record is authenticated and no key is configured.
        """

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version that the store says it holds, without reading its data; None when it has none."""

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored in that place, newest first, damaged copies included."""

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove the damaged copies of that place, never a good one. Returns how many there were."""

    def delete(self, job_id: str) -> None:
        """Remove all checkpoints of a job that will not run again. It is no error when there are none."""

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return about ``limit`` checkpoints that exist, from where the page before ended.

        Every checkpoint that exists during the whole scan is named at least once; a page may be empty.
        """

    def health(self) -> None:
        """Return when the store works, raise ``StoreUnavailable`` saying why when it does not."""


def stored_version(codec: RecordCodec, frame: bytes, key: CheckpointKey, version: Version) -> StoredVersion:
    """Return what ``frame``, read from the place of ``key`` and ``version``, turns out to be."""
    try:
        return StoredVersion(version, record=codec.decode(frame, key, version))
    except CorruptRecord as damage:
        return StoredVersion(version, damage=damage)


def newest_good(
    store: str, key: CheckpointKey, versions: Iterable[StoredVersion], on_damage: DamageCallback | None
) -> CheckpointRecord | None:
    """Return the first good record of ``versions`` (newest first), reporting each damaged copy before it."""
    for each in versions:
        if each.record is not None:
            return each.record
        if on_damage is not None and each.damage is not None:
            on_damage(Damage(store, key, each.version, each.damage.reason))
    return None


def scan_all(store: CheckpointStore, page_size: int = 500) -> Iterator[CheckpointKey]:
    """Yield every checkpoint of a store; some may come twice."""
    after: str | None = None
    while True:
        page = store.scan(after, page_size)
        yield from page.keys
        if page.next is None:
            return
        after = page.next
