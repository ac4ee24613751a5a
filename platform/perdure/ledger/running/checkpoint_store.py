"""The ledger as a checkpoint store like any other: what verifies, repairs and replicates needs no claim to do so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perdure.errors import LedgerUnavailable
from perdure.ledger import direct
from perdure.ledger.dialects import DIALECTS
from perdure.ledger.running.checkpoints import INSERT, load
from perdure.model.storage_errors import StaleWrite, StoreUnavailable
from perdure.stores.protocol import (
    VERSIONS_KEPT,
    DamageCallback,
    ScanPage,
    StoredVersion,
    newest_good,
    stored_version,
)
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version, check_name

if TYPE_CHECKING:
    from perdure.ledger.direct import Where
    from perdure.ledger.ledger import Ledger

#: Takes the turn at a checkpoint until the transaction ends. SQLite has one writer anyway.
_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(:place, 0))"
_SAVE = {
    dialect: f"{INSERT[dialect]} ON CONFLICT (job_id, name, fence, seq) "
    "DO UPDATE SET data = excluded.data, saved_at = excluded.saved_at"
    for dialect in DIALECTS
}
_HEAD = """
    SELECT fence, seq FROM perdure_checkpoints WHERE job_id = :of_job AND name = :of_name
    ORDER BY fence DESC, seq DESC LIMIT 1
"""
_DROP = """
    DELETE FROM perdure_checkpoints WHERE job_id = :of_job AND name = :of_name AND fence = :of_fence AND seq = :of_seq
"""
#: Not one that was mended meanwhile.
_DROP_DAMAGED = f"{_DROP} AND data = :data RETURNING seq"
_DELETE = "DELETE FROM perdure_checkpoints WHERE job_id = :of_job"
_SCAN = """
    SELECT DISTINCT job_id, name FROM perdure_checkpoints WHERE (job_id, name) > (:after_job, :after_name)
    ORDER BY job_id, name LIMIT :most
"""
_ASK = "SELECT count(*) FROM perdure_checkpoints WHERE job_id = ''"


class LedgerStore:
    """A :class:`~perdure.stores.protocol.CheckpointStore` in the ledger's database.

    Args:
        ledger: The ledger.
        name: How reports call it.
        codec: How records are framed and authenticated.
        on_damage: Called with each damaged copy that ``load`` comes across.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        name: str = "sql",
        codec: RecordCodec | None = None,
        on_damage: DamageCallback | None = None,
    ) -> None:
        self._ledger, self._name = ledger, name
        self._codec, self._on_damage = codec or RecordCodec(), on_damage

    @property
    def name(self) -> str:
        """How reports call this store."""
        return self._name

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` as the newest version; see :meth:`CheckpointStore.save`."""
        with self._translated("save"):
            self._ledger.hot(lambda connection: self._save(connection, record), autocommit=False)

    def _save(self, connection: Where, record: CheckpointRecord) -> None:
        if connection.dialect.name == "postgresql":
            direct.run(connection, _TAKE_TURN, {"place": f"perdure:{record.job_id}/{record.name}"})
        held = self._versions(connection, record.key)
        if held and held[0].version >= record.version:
            newest = held[0]
            if newest.version > record.version or newest.record not in (None, record):
                raise StaleWrite(str(record.key), record.version, newest.version)
            if newest.record is not None:
                return
        values = {**_of_version(record.key, record.version), "data": self._codec.encode(record)}
        direct.run(connection, _SAVE[connection.dialect.name], values)
        kept = sorted({each.version for each in held} | {record.version}, reverse=True)
        for old in kept[VERSIONS_KEPT:]:
            direct.run(connection, _DROP, _of_version(record.key, old))

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record; see :meth:`CheckpointStore.load`."""
        return newest_good(self._name, CheckpointKey(job_id, name), self.versions(job_id, name), self._on_damage)

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version; see :meth:`CheckpointStore.head`."""
        here = _of_key(_checked(job_id, name))
        with self._translated("read"):
            found = self._ledger.hot(lambda connection: direct.rows(connection, _HEAD, here))
        return Version(*found[0]) if found else None

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored, newest first; see :meth:`CheckpointStore.versions`."""
        key = _checked(job_id, name)
        with self._translated("read"):
            return self._ledger.hot(lambda connection: self._versions(connection, key))

    def _versions(self, connection: Where, key: CheckpointKey) -> tuple[StoredVersion, ...]:
        rows = load(connection, *key)
        return tuple(stored_version(self._codec, row.data, key, Version(row.fence, row.seq)) for row in rows)

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies; see :meth:`CheckpointStore.drop_damaged`."""
        key = _checked(job_id, name)

        def drop(connection: Where) -> int:
            dropped = 0
            for row in load(connection, *key):
                version = Version(row.fence, row.seq)
                if stored_version(self._codec, row.data, key, version).damage is not None:
                    values = {**_of_version(key, version), "data": row.data}
                    dropped += len(direct.rows(connection, _DROP_DAMAGED, values))
            return dropped

        with self._translated("remove"):
            return self._ledger.hot(drop, autocommit=False)

    def delete(self, job_id: str) -> None:
        """Remove the job's rows; see :meth:`CheckpointStore.delete`."""
        of_job = {"of_job": check_name("job id", job_id)}
        with self._translated("delete"):
            self._ledger.hot(lambda connection: direct.run(connection, _DELETE, of_job))

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return checkpoints in the order of their keys; see :meth:`CheckpointStore.scan`."""
        job_id, _, name = (after or "").partition("/")
        page = {"after_job": job_id, "after_name": name, "most": limit}
        with self._translated("scan"):
            rows = self._ledger.hot(lambda connection: direct.rows(connection, _SCAN, page))
        keys = tuple(CheckpointKey(*row) for row in rows)
        return ScanPage(keys, f"{keys[-1].job_id}/{keys[-1].name}" if len(keys) == limit else None)

    def health(self) -> None:
        """Ask the database for something; see :meth:`CheckpointStore.health`."""
        with self._translated("read"):
            self._ledger.hot(lambda connection: direct.rows(connection, _ASK, {}))

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except LedgerUnavailable as error:
            raise StoreUnavailable(f"checkpoint store {self._name!r}: cannot {verb}: {error}") from error


def _checked(job_id: str, name: str) -> CheckpointKey:
    return CheckpointKey(check_name("job id", job_id), check_name("checkpoint name", name))


def _of_key(key: CheckpointKey) -> dict[str, Any]:
    return {"of_job": key.job_id, "of_name": key.name}


def _of_version(key: CheckpointKey, version: Version) -> dict[str, Any]:
    return {**_of_key(key), "of_fence": version.fence, "of_seq": version.seq}
