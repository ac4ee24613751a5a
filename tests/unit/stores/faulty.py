"""A store that fails on request: the real one inside does the work, this one is the bad network or disk before it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import TypeVar
from uuid import uuid4

import fsspec

from perdure.model.storage_errors import StoreFull, StoreUnavailable
from perdure.stores.backends.filesystem import FilesystemStore
from perdure.stores.protocol import ScanPage, StoredVersion
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version

T = TypeVar("T")


class Mode(Enum):
    UP = "up"
    DOWN = "fails without doing anything"
    LOST_ANSWER = "does it and fails to say so"
    FULL = "answers questions and refuses to save"
    LOST_SAVE = "saves and fails to say so"
    FROZEN = "says that it saves and does not"
    STUCK = "does not answer until it is released"


class FaultyStore:
    def __init__(self, name: str, codec: RecordCodec | None = None) -> None:
        self.url = f"memory://{uuid4().hex}"
        self.inner = FilesystemStore(self.url, name=name, codec=codec)
        self.mode = Mode.UP
        self.released = threading.Event()
        self.calls = 0

    @property
    def name(self) -> str:
        return self.inner.name

    def _do(self, call: Callable[[], T]) -> T:
        self.calls += 1
        if self.mode is Mode.STUCK:
            assert self.released.wait(30)
        if self.mode is Mode.DOWN:
            raise StoreUnavailable(f"{self.name} is down")
        value = call()
        if self.mode is Mode.LOST_ANSWER:
            raise StoreUnavailable(f"the answer of {self.name} was lost")
        return value

    def save(self, record: CheckpointRecord) -> None:
        if self.mode is Mode.FULL:
            raise StoreFull(f"{self.name} is full")
        if self.mode is not Mode.FROZEN:
            self._do(lambda: self.inner.save(record))
        if self.mode is Mode.LOST_SAVE:
            raise StoreUnavailable(f"the answer of {self.name} was lost")

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        return self._do(lambda: self.inner.load(job_id, name))

    def head(self, job_id: str, name: str) -> Version | None:
        return self._do(lambda: self.inner.head(job_id, name))

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        return self._do(lambda: self.inner.versions(job_id, name))

    def drop_damaged(self, job_id: str, name: str) -> int:
        return self._do(lambda: self.inner.drop_damaged(job_id, name))

    def delete(self, job_id: str) -> None:
        self._do(lambda: self.inner.delete(job_id))

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        return self._do(lambda: self.inner.scan(after, limit))

    def health(self) -> None:
        self._do(self.inner.health)

    def put(self, key: CheckpointKey, version: Version, frame: bytes) -> None:
        """Write bytes behind the store's back, as a failing disk or an intruder does."""
        shard = next(iter(self.shards(key)), "00")
        self.inner._files.write(self._path(shard, key, version), frame)

    def damage_newest(self, key: CheckpointKey, at: int = 40) -> bool:
        """Flip one bit of the newest copy; False when there is none."""
        version = self.inner.head(*key)
        if version is None:
            return False
        path = self._path(self.shards(key)[0], key, version)
        frame = self.inner._files.read(path)
        assert frame is not None
        at %= len(frame)
        self.inner._files.write(path, frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
        return True

    def shards(self, key: CheckpointKey) -> list[str]:
        return [shard for shard in self.inner._files.names("") if key.job_id in self.inner._files.names(shard)]

    def wipe(self) -> None:
        filesystem, root = fsspec.core.url_to_fs(self.url)
        if filesystem.exists(root):
            filesystem.rm(root, recursive=True)

    @staticmethod
    def _path(shard: str, key: CheckpointKey, version: Version) -> str:
        return f"{shard}/{key.job_id}/{key.name}/{version.fence:019d}-{version.seq:019d}.ckpt"
