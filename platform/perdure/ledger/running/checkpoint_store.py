"""The ledger as a checkpoint store like any other: what verifies, repairs and replicates needs no claim to do so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, text

from perdure.errors import LedgerUnavailable
from perdure.ledger.conditions import upsert
from perdure.ledger.now import now
from perdure.ledger.running.checkpoints import load
from perdure.ledger.schema import checkpoints
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
    from perdure.ledger.ledger import Ledger

_ROW = checkpoints.c


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
            self._ledger.transact(lambda connection: self._save(connection, record))

    def _save(self, connection: Connection, record: CheckpointRecord) -> None:
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 0))")
            connection.execute(lock, {"place": f"perdure:{record.job_id}/{record.name}"})
        held = self._versions(connection, record.key)
        if held and held[0].version >= record.version:
            newest = held[0]
            if newest.version > record.version or newest.record not in (None, record):
                raise StaleWrite(str(record.key), record.version, newest.version)
            if newest.record is not None:
                return
        frame = self._codec.encode(record)
        values = {"job_id": record.job_id, "name": record.name, "fence": record.fence, "seq": record.seq}
        keys = list(values)
        statement = upsert(checkpoints, connection.dialect.name, keys).values(**values, data=frame, saved_at=now())
        connection.execute(statement)
        kept = sorted({each.version for each in held} | {record.version}, reverse=True)
        for old in kept[VERSIONS_KEPT:]:
            connection.execute(delete(checkpoints).where(_is(record.key, old)))

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record; see :meth:`CheckpointStore.load`."""
        return newest_good(self._name, CheckpointKey(job_id, name), self.versions(job_id, name), self._on_damage)

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version; see :meth:`CheckpointStore.head`."""
        here = and_(_ROW.job_id == check_name("job id", job_id), _ROW.name == check_name("checkpoint name", name))
        query = select(_ROW.fence, _ROW.seq).where(here).order_by(_ROW.fence.desc(), _ROW.seq.desc()).limit(1)
        with self._translated("read"):
            row = self._ledger.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else Version(row.fence, row.seq)

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored, newest first; see :meth:`CheckpointStore.versions`."""
        key = CheckpointKey(check_name("job id", job_id), check_name("checkpoint name", name))
        with self._translated("read"):
            return self._ledger.read(lambda connection: self._versions(connection, key))

    def _versions(self, connection: Connection, key: CheckpointKey) -> tuple[StoredVersion, ...]:
        rows = load(connection, *key)
        return tuple(stored_version(self._codec, row.data, key, Version(row.fence, row.seq)) for row in rows)

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies; see :meth:`CheckpointStore.drop_damaged`."""
        key = CheckpointKey(check_name("job id", job_id), check_name("checkpoint name", name))

        def drop(connection: Connection) -> int:
            dropped = 0
            for row in load(connection, *key):
                version = Version(row.fence, row.seq)
                if stored_version(self._codec, row.data, key, version).damage is not None:
                    damaged = _is(key, version) & (_ROW.data == row.data)  # not one that was mended meanwhile
                    dropped += connection.execute(delete(checkpoints).where(damaged)).rowcount
            return dropped

        with self._translated("remove"):
            return self._ledger.transact(drop)

    def delete(self, job_id: str) -> None:
        """Remove the job's rows; see :meth:`CheckpointStore.delete`."""
        statement = delete(checkpoints).where(_ROW.job_id == check_name("job id", job_id))
        with self._translated("delete"):
            self._ledger.read(lambda connection: connection.execute(statement))

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return checkpoints in the order of their keys; see :meth:`CheckpointStore.scan`."""
        query = select(_ROW.job_id, _ROW.name).distinct().order_by(_ROW.job_id, _ROW.name).limit(limit)
        if after is not None:
            job_id, _, name = after.partition("/")
            query = query.where(or_(_ROW.job_id > job_id, and_(_ROW.job_id == job_id, _ROW.name > name)))
        with self._translated("scan"):
            rows = self._ledger.read(lambda connection: connection.execute(query).all())
        keys = tuple(CheckpointKey(row.job_id, row.name) for row in rows)
        return ScanPage(keys, f"{keys[-1].job_id}/{keys[-1].name}" if len(keys) == limit else None)

    def health(self) -> None:
        """Ask the database for something; see :meth:`CheckpointStore.health`."""
        with self._translated("read"):
            self._ledger.read(
                lambda connection: connection.execute(
                    select(func.count()).select_from(checkpoints).where(_ROW.job_id == "")
                ).one()
            )

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except LedgerUnavailable as error:
            raise StoreUnavailable(f"checkpoint store {self._name!r}: cannot {verb}: {error}") from error


def _is(key: CheckpointKey, version: Version) -> ColumnElement[bool]:
    place = and_(_ROW.job_id == key.job_id, _ROW.name == key.name)
    return and_(place, _ROW.fence == version.fence, _ROW.seq == version.seq)
