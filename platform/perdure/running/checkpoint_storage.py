"""Where an application's jobs keep their checkpoints: the ledger itself, or the stores that the settings name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from perdure.errors import LeaseLost
from perdure.model.storage_errors import BlobNotFound, CorruptBlob, CorruptRecord, StaleWrite, Undecipherable
from perdure.model.tally import Tally
from perdure.sealing import Vault
from perdure.stores.protocol import CheckpointStore, Damage, StoredVersion, stored_version
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.ledger.running.checkpoints import Standing
    from perdure.model.records import Claim
    from perdure.settings.settings import Settings
    from perdure.stores.replicated.report import ReplicaReport

logger = logging.getLogger("perdure.storage")

#: The ledger, as a checkpoint store's name in the settings.
LEDGER: Final = "sql"

#: The fence of a checkpoint that was copied from the job that is replayed: below that of every claim.
COPIED: Final = 0

DEFAULT_INTERVAL_S: Final = 2.0
DEFAULT_MAX_BYTES: Final = 16 * 1024 * 1024


class Found(Struct):
    """What was found in a checkpoint's place.

    Attributes:
        record: The newest version whose bytes are good, if any.
        data: Its state's bytes; None when there is none, or it was cleared.
        damage: What was wrong with newer versions.
    """

    record: CheckpointRecord | None = None
    data: bytes | None = None
    damage: list[str] = field(default_factory=list)


class Storage:
    """Keeps checkpoints, framed, sealed and offloaded as the settings say.

    Args:
        ledger: The ledger: it fences every save, and keeps the checkpoints when no store is given.
        vault: What seals and offloads.
        codec: What frames.
        open_store: Makes the store, once in each process; None for the ledger.
        interval: Seconds from one checkpoint to the next that ``due()`` aims at.
        max_bytes: The size of the largest state, in bytes of JSON.
        tally: Counts saves.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        vault: Vault | None = None,
        codec: RecordCodec | None = None,
        open_store: Callable[[Callable[[Damage], None]], CheckpointStore] | None = None,
        interval: float = DEFAULT_INTERVAL_S,
        max_bytes: int = DEFAULT_MAX_BYTES,
        tally: Tally | None = None,
    ) -> None:
        self.tally = tally or Tally()
        self._ledger, self.vault, self._codec = ledger, vault or Vault(), codec or RecordCodec()
        self._open_store = open_store
        self.interval, self.max_bytes = interval, max_bytes
        self._store: CheckpointStore | None = None
        self._pid = 0
        self._damages: list[Damage] = []

    @property
    def store(self) -> CheckpointStore:
        """The store of this process: clients of object stores do not survive a fork."""
        if self._store is None or self._pid != os.getpid():
            self._store, self._pid = self._make_store(), os.getpid()
        return self._store

    @property
    def in_ledger(self) -> bool:
        """Whether checkpoints are rows of the ledger, and are saved in one transaction with their fence's check."""
        return self._open_store is None

    def frame(self, record: CheckpointRecord) -> bytes:
        """Return a record's bytes."""
        return self._codec.encode(record)

    def save(
        self, make: Callable[[int], CheckpointRecord], job_id: str, fence: int, name: str, previous_seq: int
    ) -> tuple[int, Standing]:
        """Save a checkpoint and return its sequence number, and how the job stands.

        Args:
            make: Makes the record of its sequence number.
            job_id: The running job.
            fence: Its claim's fence.
            name: Which of its checkpoints.
            previous_seq: The version to keep besides this one.

        Raises:
            LeaseLost: The fence is stale.
            StoreUnavailable: The store cannot take it; the number is used up.
        """
        if self.in_ledger:
            return self._ledger.running.save_checkpoint(
                job_id, fence, name, lambda seq: self.frame(make(seq)), previous_seq
            )
        seq, standing = self._ledger.running.advance_checkpoint(job_id, fence)
        try:
            self.store.save(make(seq))
        except StaleWrite as error:
            raise LeaseLost(str(error)) from error
        return seq, standing

    def find(self, claim: Claim, name: str, column: str) -> Found:
        """Return the newest good version of a checkpoint.

        Args:
            claim: The running job; when it replays another one, its checkpoints may have been copied to begin with.
            name: Which of its checkpoints.
            column: The place for which its data was sealed.

        Raises:
            MissingKey: It is sealed or authenticated with a key that this process does not have.
            StoreUnavailable: The store cannot be read.
        """
        key, found = CheckpointKey(claim.job_id, name), Found()
        for record in self._candidates(key, found.damage, claim.replay_of):
            try:
                if not record.cleared:
                    found.data = self.vault.get_bytes(record.data, column, record.job_id, claim.task)
            except (Undecipherable, CorruptBlob, BlobNotFound) as error:
                found.damage.append(f"seq {record.seq}: {error}")
                continue
            found.record = record
            break
        return found

    def drain(self, timeout: float) -> None:
        """Give slow copies of replicated saves ``timeout`` seconds to end."""
        if self.in_ledger or self._store is None or self._pid != os.getpid():
            return
        from perdure.stores.replicated.replicated import ReplicatedStore  # whose checkpoints are in the ledger has none

        if isinstance(self._store, ReplicatedStore):
            self._store.drain(timeout)

    def _candidates(self, key: CheckpointKey, damage: list[str], origin: str | None) -> list[CheckpointRecord]:
        """Return the good versions, newest first, and add what was wrong with others."""
        records: dict[Version, CheckpointRecord] = {}
        # Also when the store is another one: what ctx.transaction() saved is in the ledger.
        for row in self._ledger.running.load_checkpoint(*key):
            each = stored_version(self._codec, row.data, key, Version(row.fence, row.seq))
            if each.record is None and row.fence == COPIED and origin is not None:
                each = self._copied(row.data, CheckpointKey(origin, key.name), each)
            if each.record is not None:
                records[each.version] = each.record
            elif each.damage is not None:
                damage.append(f"seq {row.seq}, fence {row.fence} in {LEDGER}: {each.damage.reason}")
        if not self.in_ledger:
            self._damages.clear()
            newest = self.store.load(*key)
            damage += [f"seq {d.version.seq}, fence {d.version.fence} in {d.store}: {d.reason}" for d in self._damages]
            versions = self.store.versions(*key) if newest is not None else ()
            records |= {each.version: each.record for each in versions if each.record is not None}
            if newest is not None:
                records[newest.version] = newest
        return [records[version] for version in sorted(records, reverse=True)]

    def _copied(self, frame: bytes, source: CheckpointKey, own: StoredVersion) -> StoredVersion:
        """Return a copied version: its frame is still that of the job it was copied from, its place is the copy's."""
        try:
            return StoredVersion(own.version, record=self._codec.decode(frame, source))
        except CorruptRecord as damage:
            return StoredVersion(own.version, damage=damage)

    def _make_store(self) -> CheckpointStore:
        if self._open_store is None:
            from perdure.ledger.running.checkpoint_store import LedgerStore

            return LedgerStore(self._ledger, codec=self._codec, on_damage=self._damages.append)
        return self._open_store(self._damages.append)


def storage_of(settings: Settings, ledger: Ledger, tally: Tally) -> Storage:
    """Return the storage that the settings describe; ``tally`` counts its saves."""
    codec = RecordCodec(settings.checkpoint_secret.encode() if settings.checkpoint_secret else None)
    urls = [settings.checkpoint_store] if isinstance(settings.checkpoint_store, str) else settings.checkpoint_store

    def open_store(on_damage: Callable[[Damage], None]) -> CheckpointStore:
        options: dict[str, Any] = {"codec": codec, "on_damage": on_damage}
        stores = [_open(url, settings, ledger, options) for url in urls]
        if len(stores) == 1:
            return stores[0]
        from perdure.stores.replicated.replicated import ReplicatedStore

        return ReplicatedStore(
            stores,
            write_quorum=settings.checkpoint_quorum,
            timeout=settings.checkpoint_timeout,
            authenticated=settings.checkpoint_secret is not None,
            on_report=_log_report,
            on_damage=on_damage,
        )

    return Storage(
        ledger,
        vault=ledger.vault,
        codec=codec,
        open_store=None if urls == [LEDGER] else open_store,
        interval=settings.checkpoint_interval,
        max_bytes=settings.checkpoint_max_bytes,
        tally=tally,
    )


def _open(url: str, settings: Settings, ledger: Ledger, options: dict[str, Any]) -> CheckpointStore:
    from perdure.model.text.masked_url import masked_url
    from perdure.resilience.redis.address import is_redis

    if url == LEDGER:
        from perdure.ledger.running.checkpoint_store import LedgerStore

        return LedgerStore(ledger, **options)
    if url == "redis" or is_redis(url):
        from perdure.stores.backends.redis import RedisStore

        address = settings.effective_redis_url if url == "redis" else url
        prefix = f"{settings.redis_prefix}checkpoint:"
        return RedisStore.from_url(
            address, name=masked_url(url), timeout=settings.checkpoint_timeout, prefix=prefix, **options
        )
    from perdure.stores.backends.filesystem import FilesystemStore

    return FilesystemStore(url, name=masked_url(url), **options)


def _log_report(report: ReplicaReport) -> None:
    logger.warning("checkpoint replicas: %s", report)
