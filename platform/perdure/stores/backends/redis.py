"""Checkpoints in Redis: quick, and as durable as the server's persistence (AOF with ``appendfsync``).

One hash for each job, one field for each version; compare-and-set is one Lua script, so it works on a cluster too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final, TypeVar, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from perdure.model.storage_errors import StaleWrite, StoreFull, StoreUnavailable
from perdure.resilience.redis.address import connect
from perdure.resilience.redis.lua_scripts import Scripts
from perdure.stores.protocol import (
    VERSIONS_KEPT,
    DamageCallback,
    ScanPage,
    StoredVersion,
    newest_good,
    stored_version,
)
from perdure.stores.record import CheckpointKey, CheckpointRecord, RecordCodec, Version, check_name, is_name

T = TypeVar("T")

log = logging.getLogger("perdure.stores")

#: The field of a version. Others are not ours and count for nothing.
_FIELD: Final = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.:@+=-]{0,127}/[0-9]{19}-[0-9]{19}")

DEFAULT_PREFIX: Final = "perdure:checkpoint:"

FENCES_AHEAD: Final = 1_000_000
"""A damaged version whose fence is ahead by more than this was never saved by anybody and stops no save."""

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

    Raises:
        ValueError: ``ttl`` is not above 0.
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
        self._scripts = Scripts(client)
        self._save_script = client.register_script(_lua("save_checkpoint"))
        self._drop_script = client.register_script(_lua("drop_checkpoint"))

    @classmethod
    def from_url(cls, url: str, *, timeout: float = DEFAULT_TIMEOUT_S, **options: Any) -> RedisStore:
        """Return a store on the server at ``url``.

        Args:
            url: what :mod:`perdure.resilience.redis.address` reads, such as ``redis://host:port/db``.
            timeout: seconds to wait for a connection and for each answer.
            options: the parameters of the class.
        """
        once_more = Retry(NoBackoff(), 1)  # a pooled connection that Redis closed meanwhile is no outage
        client = connect(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once_more)
        return cls(client, **options)

    @property
    def name(self) -> str:
        """How reports call this store."""
        return self._name

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` as the newest version; see :meth:`CheckpointStore.save`."""
        frame = self._codec.encode(record)
        stored = self._compare_and_set(record, frame, overwrite=False)
        if stored is not None and stored.fence - record.fence > FENCES_AHEAD:
            self.drop_damaged(record.job_id, record.name)  # it is no record: nobody claims a job so often
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
        key = self._key(record.job_id)
        newer = cast("bytes", self._on(key, "save", lambda: self._save_script(keys=[key], args=args)))
        return _version(newer) if newer else None

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest good record; see :meth:`CheckpointStore.load`."""
        return newest_good(self._name, CheckpointKey(job_id, name), self.versions(job_id, name), self._on_damage)

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the newest version by its field; see :meth:`CheckpointStore.head`."""
        return max((_version(each) for each in self._fields(job_id, name)), default=None)

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return what is stored, newest first; see :meth:`CheckpointStore.versions`."""
        return tuple(self._read(CheckpointKey(job_id, name)))

    def _read(self, key: CheckpointKey) -> Iterator[StoredVersion]:
        for version, frame in self._frames(key).items():
            yield stored_version(self._codec, frame, key, version)

    def _frames(self, key: CheckpointKey) -> dict[Version, bytes]:
        """Return the frames in the place of ``key``, newest first."""
        mine = sorted(self._fields(key.job_id, key.name), reverse=True)
        if not mine:
            return {}
        place = self._key(key.job_id)
        frames = cast("list[bytes | None]", self._on(place, "read", lambda: self._client.hmget(place, mine)))
        return {_version(field): frame for field, frame in zip(mine, frames, strict=True) if frame is not None}

    def _fields(self, job_id: str, name: str) -> list[bytes]:
        """Return the fields of a checkpoint's versions."""
        place, prefix = self._key(job_id), check_name("checkpoint name", name).encode() + b"/"
        fields = cast("list[bytes]", self._on(place, "read", lambda: self._client.hkeys(place)))
        return [field for field in fields if field.startswith(prefix) and _FIELD.fullmatch(field)]

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies; see :meth:`CheckpointStore.drop_damaged`."""
        key, dropped = CheckpointKey(job_id, name), 0
        for version, frame in self._frames(key).items():
            if stored_version(self._codec, frame, key, version).damage is not None:
                dropped += self._drop(self._key(job_id), f"{name}/{_text(version)}", frame)
        return dropped

    def _drop(self, key: str, field: str, frame: bytes) -> int:
        return cast("int", self._on(key, "remove", lambda: self._drop_script(keys=[key], args=[field, frame])))

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
            fields_of_each = cast("list[list[bytes] | Exception]", pipeline.execute(raise_on_error=False))
        found = {
            CheckpointKey(key.decode()[len(self._prefix) :], field.decode().partition("/")[0])
            for key, fields in zip(keys, _without_foreign(fields_of_each), strict=True)
            for field in fields
            if _FIELD.fullmatch(field) and is_name(key.decode(errors="replace")[len(self._prefix) :])
        }
        return ScanPage(tuple(sorted(found)), str(cursor) if cursor else None)

    def health(self) -> None:
        """Ping the server; see :meth:`CheckpointStore.health`."""
        with self._translated("ping"):
            self._client.ping()

    def _key(self, job_id: str) -> str:
        return self._prefix + check_name("job id", job_id)

    def _on(self, key: str, verb: str, operation: Callable[[], T]) -> T:
        """Do something with a job's key; when it is no hash, nothing in it is a checkpoint, and it is made anew."""
        with self._translated(verb):
            try:
                return operation()
            except ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
            for removed in cast("list[bytes]", self._scripts.run("mend", [key], ["hash"]))[1::2]:
                log.warning("%s: the key %s was a %s and no hash; it is made anew", self._name, key, removed.decode())
            return operation()

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
    return files("perdure.stores.backends").joinpath(f"{name}.lua").read_text()


def _text(version: Version) -> str:
    return f"{version.fence:019d}-{version.seq:019d}"


def _version(field: bytes) -> Version:
    fence, _, seq = field.rpartition(b"/")[2].partition(b"-")
    return Version(int(fence), int(seq))


def _without_foreign(replies: list[list[bytes] | Exception]) -> Iterator[list[bytes]]:
    """Yield what HKEYS said of each key: nothing when it is no hash.

    Raises:
        RedisError: it said something else.
    """
    for reply in replies:
        if isinstance(reply, Exception) and "WRONGTYPE" not in str(reply):
            raise reply
        yield [] if isinstance(reply, Exception) else reply
