"""Checkpoints in Redis: quick, and as durable as the server's persistence (AOF with ``appendfsync``).

One hash for each job, one field for each version; compare-and-set is one Lua script, so it works on a cluster too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import RedisError

from perdure.redis_address import connect
from perdure.stores.errors import StaleWrite, StoreFull, StoreUnavailable
from perdure.stores.protocol import (
    VERSIONS_KEPT,
    DamageCallback,
    ScanPage,
    StoredVersion,
    newest_good,
    stored_version,
)
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version, check_name

DEFAULT_PREFIX: Final = "perdure:checkpoint:"

DEFAULT_TIMEOUT_S: Final = 5.0
"""A save waits no longer than this for a server that does not answer."""


class RedisStore:
    """A :class:`~perdure.stores.protocol.CheckpointStore` in Redis.

    Args:
        client: a redis-py client that returns bytes (``decode_responses=False``); see :meth:`from_url`.
        name: how reports call it.
        codec: how records are framed and authenticated.
        on_damage: called with each damaged copy that ``load`` comes across.
        ttl: seconds after a job's last save until its checkpoints expire; None: they stay until they are deleted.
            Choose more than the longest pause of a job, a dead letter's wait included.
        prefix: begins each key.
    """

    def __init__(
        self,
        client: Redis,
        *,
        name: str = "redis",
        codec: RecordCodec | None = None,
        on_damage: DamageCallback | None = None,
        ttl: int | None = None,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        if ttl is not None and ttl <= 0:
            raise ValueError(f"ttl is {ttl} s, it must be positive, or None for no expiry")
        self._client, self._name, self._prefix = client, name, prefix
        self._codec, self._on_damage = codec or RecordCodec(), on_damage
        self._ttl = ttl or 0
        self._save_script = client.register_script(_lua("save_checkpoint"))
        self._drop_script = client.register_script(_lua("drop_checkpoint"))

    @classmethod
    def from_url(cls, url: str, *, timeout: float = DEFAULT_TIMEOUT_S, **options: Any) -> RedisStore:
        """Return a store on the server at ``url``.

        Args:
            url: what :mod:`perdure.redis_address` reads, such as ``redis://host:port/db``.
            timeout: seconds to wait for a connection and for each answer.
            options: the parameters of the class.
        """
        client = connect(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        return cls(client, **options)

    @property
    def name(self) -> str:
        """How reports call this store."""
        return self._name

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` as the newest version; see :meth:`CheckpointStore.save`."""
        frame = self._codec.encode(record)
        stored = self._compare_and_set(record, frame, overwrite=False)
        if stored == record.version:
            held = next((each for each in self._read(record.key) if each.version == stored), None)
            if held is not None and held.record == record:
                return
            if held is None or held.damage is not None:
                stored = self._compare_and_set(record, frame, overwrite=True)
        if stored is not None:
            raise StaleWrite(str(record.key), record.version, stored)

    def _compare_and_set(self, record: CheckpointRecord, frame: bytes, *, overwrite: bool) -> Version | None:
        force = "1" if overwrite else "0"
        args: list[bytes | str | int] = [record.name, _text(record.version), frame, VERSIONS_KEPT, self._ttl, force]
        with self._translated("save"):
            newer = cast("bytes", self._save_script(keys=[self._key(record.job_id)], args=args))
        return _version(newer) if newer else None

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record; see :meth:`CheckpointStore.load`."""
        return newest_good(self._name, CheckpointKey(job_id, name), self.versions(job_id, name), self._on_damage)

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version by its field; see :meth:`CheckpointStore.head`."""
        with self._translated("read"):
            fields = cast("list[bytes]", self._client.hkeys(self._key(job_id)))
        return max((_version(each) for each in _of_name(fields, name)), default=None)

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored, newest first; see :meth:`CheckpointStore.versions`."""
        return tuple(self._read(CheckpointKey(job_id, name)))

    def _read(self, key: CheckpointKey) -> Iterator[StoredVersion]:
        for version, frame in self._frames(key).items():
            yield stored_version(self._codec, frame, key, version)

    def _frames(self, key: CheckpointKey) -> dict[Version, bytes]:
        """Return the frames in the place of ``key``, newest first."""
        with self._translated("read"):
            fields = cast("list[bytes]", self._client.hkeys(self._key(key.job_id)))
            mine = sorted(_of_name(fields, key.name), reverse=True)
            if not mine:
                return {}
            frames = cast("list[bytes | None]", self._client.hmget(self._key(key.job_id), mine))
        return {_version(field): frame for field, frame in zip(mine, frames, strict=True) if frame is not None}

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies; see :meth:`CheckpointStore.drop_damaged`."""
        key, dropped = CheckpointKey(job_id, name), 0
        for version, frame in self._frames(key).items():
            if stored_version(self._codec, frame, key, version).damage is not None:
                with self._translated("remove"):
                    args: list[bytes | str] = [f"{name}/{_text(version)}", frame]
                    dropped += cast("int", self._drop_script(keys=[self._key(job_id)], args=args))
        return dropped

    def delete(self, job_id: str) -> None:
        """Remove the job's hash; see :meth:`CheckpointStore.delete`."""
        with self._translated("delete"):
            self._client.delete(self._key(job_id))

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return checkpoints by Redis' SCAN cursor; see :meth:`CheckpointStore.scan`."""
        pattern = self._prefix.replace("[", r"\[").replace("*", r"\*").replace("?", r"\?") + "*"
        with self._translated("scan"):
            page = self._client.scan(int(after or 0), match=pattern, count=limit)
            cursor, keys = cast("tuple[int, list[bytes]]", page)
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.hkeys(key)
            fields_of_each = cast("list[list[bytes]]", pipeline.execute())
        found = {
            CheckpointKey(key.decode()[len(self._prefix) :], field.decode().partition("/")[0])
            for key, fields in zip(keys, fields_of_each, strict=True)
            for field in fields
        }
        return ScanPage(tuple(sorted(found)), str(cursor) if cursor else None)

    def health(self) -> None:
        """Ping the server; see :meth:`CheckpointStore.health`."""
        with self._translated("ping"):
            self._client.ping()

    def _key(self, job_id: str) -> str:
        return self._prefix + check_name("job id", job_id)

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            if "OOM command not allowed" in str(error):  # inside a script it has no exception class of its own
                raise StoreFull(
                    f"checkpoint store {self._name!r}: Redis is at its maxmemory; nothing was written. Give it more"
                ) from error
            raise StoreUnavailable(f"checkpoint store {self._name!r}: cannot {verb}: {error}") from error


def _lua(name: str) -> str:
    return files("perdure.stores").joinpath(f"{name}.lua").read_text()


def _text(version: Version) -> str:
    return f"{version.fence:019d}-{version.seq:019d}"


def _version(field: bytes) -> Version:
    fence, _, seq = field.rpartition(b"/")[2].partition(b"-")
    return Version(int(fence), int(seq))


def _of_name(fields: list[bytes], name: str) -> list[bytes]:
    prefix = check_name("checkpoint name", name).encode() + b"/"
    return [field for field in fields if field.startswith(prefix)]
