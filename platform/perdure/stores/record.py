"""The stored form of a checkpoint: a frame that says what it is and finds every change of its bytes.

Layout, big-endian::

    magic "PDCK" | format u8 | flags u8 | len(job_id) u16 | len(name) u16 | fence u64 | seq u64 | saved_at f64
    | len(data) u64 | job_id | name | data | checksum, 32 bytes | tag, 32 bytes (only when flags has AUTHENTICATED)

The checksum is BLAKE2b-256 (RFC 7693) over everything before it: it finds *damage*, also a record that lies in another
job's place, since the job, the name and the version are inside. Anybody can compute it, so it does not find *malice*.
The tag does: it is keyed BLAKE2b-256 over the checksum, and nobody makes one without the key.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec import Struct

from perdure.model.storage_errors import CorruptRecord, InvalidRecord, MissingKey

MAGIC: Final = b"PDCK"
FORMAT: Final = 1
AUTHENTICATED: Final = 0x01

DIGEST_BYTES: Final = 32
"""256 bits: no two of any number of records that can be stored collide by chance."""

MIN_KEY_BYTES: Final = 16
MAX_KEY_BYTES: Final = 64
"""What BLAKE2b takes as a key."""

MAX_COUNTER: Final = 2**63 - 1
"""Fences and sequence numbers also live in SQL's signed BIGINT columns."""

# Such a name is a file name, an object key and a Redis field as it is, on every system, without any quoting.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+=-]{0,127}")
_HEAD: Final = struct.Struct(">4sBBHHQQdQ")
_CHECKSUM_PERSON: Final = b"perdure-ckpt"
_TAG_PERSON: Final = b"perdure-ckpt-tag"


class Version(NamedTuple):
    """Which of two checkpoints is newer: the higher fence, and within one fence the higher sequence number."""

    fence: int
    seq: int


class CheckpointKey(NamedTuple):
    """Where a checkpoint belongs: a job, and one of the job's names."""

    job_id: str
    name: str

    def __str__(self) -> str:
        return f"checkpoint {self.name!r} of job {self.job_id}"


class CheckpointRecord(Struct, frozen=True):
    """One saved state of a job.

    A version (fence, seq) names one value for ever: a save that failed has used its ``seq`` up, because some store
    may hold it. Empty ``data`` says that the checkpoint was cleared; a cleared checkpoint is a version like any other,
    so that a stale worker's ``clear`` has no effect and no older state comes back.

    Args:
        job_id: the job, 1-128 characters of ``A-Z a-z 0-9 _ . : @ + = -``.
        name: the checkpoint's name within the job, the same characters.
        seq: grows by one with every save of the job.
        fence: the fence of the claim under which it was saved.
        data: the serialised state.
        saved_at: when, in seconds since the Unix epoch.

    Raises:
        InvalidRecord: when a name or number is out of range.
    """

    job_id: str
    name: str
    seq: int
    fence: int
    data: bytes
    saved_at: float

    def __post_init__(self) -> None:
        check_name("job id", self.job_id)
        check_name("checkpoint name", self.name)
        for what, value in (("seq", self.seq), ("fence", self.fence)):
            if not 0 <= value <= MAX_COUNTER:
                raise InvalidRecord(f"{self.key}: {what} is {value}, it must be from 0 to {MAX_COUNTER}")

    @property
    def key(self) -> CheckpointKey:
        """The place of this record."""
        return CheckpointKey(self.job_id, self.name)

    @property
    def version(self) -> Version:
        """The order of this record among those of its place."""
        return Version(self.fence, self.seq)

    @property
    def cleared(self) -> bool:
        """Whether the job cleared its checkpoint with this version."""
        return not self.data


def is_name(name: str) -> bool:
    """Tell whether every store can hold ``name``."""
    return _NAME.fullmatch(name) is not None


def check_name(what: str, name: str) -> str:
    """Return ``name`` when every store can hold it under that name.

    Raises:
        InvalidRecord: when it is empty, too long or has other characters.
    """
    if not is_name(name):
        raise InvalidRecord(
            f"{what} {name!r} cannot be stored: use 1-128 characters of A-Z a-z 0-9 _ . : @ + = - "
            "and start with a letter, a digit or _"
        )
    return name


class RecordCodec:
    """Turns records into frames and back.

    Args:
        key: secret of 16-64 bytes that authenticates records; None: damage is found, forgery is not.
        retired_keys: keys that are still accepted but not written with, for rotation.
        accept_unauthenticated: also read records without a tag although a key is set. Only for the days after a
            key was introduced: while it is on, a forger can leave the tag away.

    Raises:
        ValueError: when a key is too short or too long.
    """

    def __init__(
        self, key: bytes | None = None, *, retired_keys: Sequence[bytes] = (), accept_unauthenticated: bool = False
    ) -> None:
        self._keys = [*([key] if key is not None else []), *retired_keys]
        for each in self._keys:
            if not MIN_KEY_BYTES <= len(each) <= MAX_KEY_BYTES:
                raise ValueError(f"a record key has {MIN_KEY_BYTES}-{MAX_KEY_BYTES} bytes, this one has {len(each)}")
        self._writing_key = key
        self._accept_plain = accept_unauthenticated or not self._keys

    def encode(self, record: CheckpointRecord) -> bytes:
        """Return the frame of ``record``."""
        job_id, name = record.job_id.encode(), record.name.encode()
        flags = AUTHENTICATED if self._writing_key is not None else 0
        head = _HEAD.pack(
            MAGIC, FORMAT, flags, len(job_id), len(name), record.fence, record.seq, record.saved_at, len(record.data)
        )
        body = b"".join((head, job_id, name, record.data))
        checksum = _checksum(body)
        tag = _tag(self._writing_key, checksum) if self._writing_key is not None else b""
        return b"".join((body, checksum, tag))

    def decode(self, frame: bytes, key: CheckpointKey, version: Version | None = None) -> CheckpointRecord:
        """Return the record in ``frame``.

        Args:
            frame: what a store returned.
            key: the place it was read from.
            version: the version that the place claims to hold, where the store knows it.

        Raises:
            CorruptRecord: when these are not the bytes that were written there.
            MissingKey: when the record is authenticated and no key is configured.
        """
        what = str(key) if version is None else f"{key}, fence {version.fence} seq {version.seq},"
        flags, record = _parse(frame, what)
        if record.key != key or (version is not None and record.version != version):
            raise CorruptRecord(what, f"misplaced: it is {record.key}, fence {record.fence} seq {record.seq}")
        self._authenticate(frame, flags, what)
        return record

    def _authenticate(self, frame: bytes, flags: int, what: str) -> None:
        if not flags & AUTHENTICATED:
            if not self._accept_plain:
                raise CorruptRecord(what, "forged: it carries no authentication tag and a key is configured")
            return
        if not self._keys:
            raise MissingKey(
                f"{what} is authenticated with a key and this process has none. Nothing is lost: "
                "configure the same checkpoint key as on the worker that wrote it"
            )
        checksum, tag = frame[-2 * DIGEST_BYTES : -DIGEST_BYTES], frame[-DIGEST_BYTES:]
        if not any(hmac.compare_digest(_tag(each, checksum), tag) for each in self._keys):
            raise CorruptRecord(what, "forged: its authentication tag was not made with a configured key")


def _parse(frame: bytes, what: str) -> tuple[int, CheckpointRecord]:
    if len(frame) < _HEAD.size + DIGEST_BYTES:
        raise CorruptRecord(what, f"truncated: {len(frame)} bytes")
    magic, format_, flags, job_len, name_len, fence, seq, saved_at, data_len = _HEAD.unpack_from(frame)
    if magic != MAGIC:
        raise CorruptRecord(what, "not a checkpoint record")
    end = _HEAD.size + job_len + name_len + data_len
    tail = DIGEST_BYTES * (2 if flags & AUTHENTICATED else 1)
    if len(frame) != end + tail:
        raise CorruptRecord(what, f"truncated or extended: {len(frame)} bytes where {end + tail} were written")
    if not hmac.compare_digest(_checksum(memoryview(frame)[:end]), frame[end : end + DIGEST_BYTES]):
        raise CorruptRecord(what, "checksum")
    if format_ != FORMAT or flags & ~AUTHENTICATED:
        raise CorruptRecord(what, f"format {format_}, flags {flags}: written by a newer release")
    name_at = _HEAD.size + job_len
    try:
        job_id, name = frame[_HEAD.size : name_at].decode(), frame[name_at : name_at + name_len].decode()
        data = frame[name_at + name_len : end]
        record = CheckpointRecord(job_id, name, seq=seq, fence=fence, data=data, saved_at=saved_at)
    except ValueError as error:  # a valid checksum over nonsense: made by hand
        raise CorruptRecord(what, f"forged: {error}") from error
    return flags, record


def _checksum(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=DIGEST_BYTES, person=_CHECKSUM_PERSON).digest()


def _tag(key: bytes, checksum: bytes) -> bytes:
    return blake2b(checksum, digest_size=DIGEST_BYTES, key=key, person=_TAG_PERSON).digest()
