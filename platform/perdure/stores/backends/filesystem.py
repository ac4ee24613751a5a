"""Checkpoints as files: on a local or network disk, or in an object store.

``ROOT/<shard>/<job id>/<name>/<fence>-<seq>.ckpt``. A version is a file of its own and its name gives the order, so a
late writer cannot replace a newer version, whatever the timing: the file system needs no compare-and-set.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final

from perdure.model.storage_errors import StaleWrite, StoreUnavailable
from perdure.stores.backends.files import Files
from perdure.stores.protocol import (
    VERSIONS_KEPT,
    DamageCallback,
    ScanPage,
    StoredVersion,
    newest_good,
    stored_version,
)
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version, check_name

_FILE: Final = re.compile(r"(\d{19})-(\d{19})\.ckpt")


class FilesystemStore:
    """A :class:`~perdure.stores.protocol.CheckpointStore` on fsspec.

    Args:
        url: a path or an fsspec URL.
        name: how reports call it; default: the URL.
        codec: how records are framed and authenticated.
        on_damage: called with each damaged copy that ``load`` comes across.
        fsync: flush each local write to the disk (see :class:`~perdure.stores.backends.files.Files`).
        storage_options: passed on to the fsspec file system.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        codec: RecordCodec | None = None,
        on_damage: DamageCallback | None = None,
        fsync: bool = True,
        **storage_options: Any,
    ) -> None:
        self._files = Files(url, fsync=fsync, **storage_options)
        self._name = name or url
        self._codec = codec or RecordCodec()
        self._on_damage = on_damage

    @property
    def name(self) -> str:
        """How reports call this store."""
        return self._name

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` as the newest version; see :meth:`CheckpointStore.save`."""
        directory = _directory(record.key)
        stored = self._listed(directory)
        if stored and stored[0] >= record.version and self._holds_already(record, stored[0]):
            return
        path = f"{directory}/{_file(record.version)}"
        self._files.write(path, self._codec.encode(record))
        after = self._listed(directory)
        if after and after[0] > record.version:  # a newer claim saved meanwhile
            self._files.remove(path)
            raise StaleWrite(str(record.key), record.version, after[0])
        for old in after[VERSIONS_KEPT:]:
            with suppress(StoreUnavailable):  # the save is durable; the next one tidies up
                self._files.remove(f"{directory}/{_file(old)}")

    def _holds_already(self, record: CheckpointRecord, newest: Version) -> bool:
        if newest == record.version:
            held = self._read(record.key, newest)
            if held is None or held.record is None:
                return False  # damaged: it is written anew
            if held.record == record:
                return True
        raise StaleWrite(str(record.key), record.version, newest)

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record; see :meth:`CheckpointStore.load`."""
        return newest_good(self._name, CheckpointKey(job_id, name), self.versions(job_id, name), self._on_damage)

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version by its file name; see :meth:`CheckpointStore.head`."""
        return next(iter(self._listed(_directory(CheckpointKey(job_id, name)))), None)

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored, newest first; see :meth:`CheckpointStore.versions`."""
        key = CheckpointKey(job_id, name)
        read = (self._read(key, version) for version in self._listed(_directory(key)))
        return tuple(each for each in read if each is not None)

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies; see :meth:`CheckpointStore.drop_damaged`."""
        damaged = [each.version for each in self.versions(job_id, name) if each.damage is not None]
        for version in damaged:
            self._files.remove(f"{_directory(CheckpointKey(job_id, name))}/{_file(version)}")
        return len(damaged)

    def delete(self, job_id: str) -> None:
        """Remove the job's directory; see :meth:`CheckpointStore.delete`."""
        self._files.remove_tree(f"{_shard(job_id)}/{check_name('job id', job_id)}")

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return checkpoints in the order of their paths; see :meth:`CheckpointStore.scan`."""
        start = tuple((after or "//").split("/"))
        found: list[CheckpointKey] = []
        for shard in (each for each in self._files.names("") if each >= start[0]):
            for job_id in (each for each in self._files.names(shard) if (shard, each) >= start[:2]):
                for name in self._files.names(f"{shard}/{job_id}"):
                    if (shard, job_id, name) <= start or not self._listed(f"{shard}/{job_id}/{name}"):
                        continue
                    found.append(CheckpointKey(job_id, name))
                    if len(found) >= limit:
                        return ScanPage(tuple(found), f"{shard}/{job_id}/{name}")
        return ScanPage(tuple(found), None)

    def health(self) -> None:
        """Write and read a small file; see :meth:`CheckpointStore.health`."""
        self._files.check()

    def _listed(self, directory: str) -> list[Version]:
        matches = (_FILE.fullmatch(name) for name in self._files.names(directory))
        return sorted((Version(int(m[1]), int(m[2])) for m in matches if m), reverse=True)

    def _read(self, key: CheckpointKey, version: Version) -> StoredVersion | None:
        frame = self._files.read(f"{_directory(key)}/{_file(version)}")
        return None if frame is None else stored_version(self._codec, frame, key, version)


def _shard(job_id: str) -> str:
    # 256 directories: a million jobs leave about 4,000 entries in each, which every file system lists quickly.
    return blake2b(job_id.encode(), digest_size=1).hexdigest()


def _directory(key: CheckpointKey) -> str:
    job_id, name = check_name("job id", key.job_id), check_name("checkpoint name", key.name)
    return f"{_shard(job_id)}/{job_id}/{name}"


def _file(version: Version) -> str:
    return f"{version.fence:019d}-{version.seq:019d}.ckpt"
