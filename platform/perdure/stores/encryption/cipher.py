"""Optional encryption at rest of arguments, results, errors and checkpoints.

AES-256-GCM. Each place (a column, a job and its task) has a key of its own, derived from the ring's key with HKDF-SHA256
(RFC 5869), so random 96-bit nonces never come near their limit of 2^32 messages for one key (NIST SP 800-38D), and the
place is authenticated: a sealed value that is copied into another row or column, or whose job was given another task, does
not open.

Envelopes: text ``enc:v2:<key id>:<base64url of nonce and ciphertext>``; bytes the same head with raw bytes after it. Values
of places without a task, and all of releases before that, are ``enc:v1:``; they go on opening.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from perdure.errors import SettingsError
from perdure.model.storage_errors import MissingKey, Undecipherable
from perdure.system.fork_gate import gate

KEYS_VARIABLE: Final = "PERDURE_ENCRYPTION_KEYS"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

_HEAD: Final = re.compile(r"enc:v([12]):")
_HEAD_BYTES: Final = len("enc:v1:")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Place(NamedTuple):
    """Where a sealed value belongs: the column (``args``, ``checkpoint:main``...), the job's id, and its task if known."""

    column: str
    job_id: str
    task: str | None = None

    def __str__(self) -> str:
        return f"{self.column} of job {self.job_id}"


class KeyRing:
    """Keys by id; the first one seals, all of them open.

    To rotate: put a new key first, restart, and remove the old one when nothing sealed with it is left.

    Args:
        keys: 32-byte keys by id, the sealing key first.

    Raises:
        SettingsError: when there is none, or an id or a key is malformed.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise SettingsError(
                "the key ring is empty. Make a key: perdure.stores.encryption.cipher.KeyRing.generate('k1')"
            )
        for number, (key_id, key) in enumerate(keys.items(), start=1):
            _check_key_id(key_id, number)
            if len(key) != KEY_BYTES:
                raise SettingsError(f"encryption key {key_id!r} has {len(key)} bytes, it must have {KEY_BYTES}")
        self._keys = dict(keys)
        self.sealing_id = next(iter(self._keys))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"  # never the keys: this ends up in logs and tracebacks

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the ring of ``id:base64,id2:base64``, the sealing key first.

        Raises:
            SettingsError: when it is malformed; the message never shows a key.
        """
        keys: dict[str, bytes] = {}
        for number, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            key_id, colon, encoded = part.partition(":")
            if not colon:
                raise SettingsError(f"encryption key number {number} has no id: write id:base64,id2:base64")
            _check_key_id(key_id, number)
            if key_id in keys:
                raise SettingsError(f"encryption key id {key_id!r} is there twice")
            try:
                keys[key_id] = _from_base64(encoded)
            except (ValueError, binascii.Error) as error:
                raise SettingsError(f"encryption key {key_id!r} is not base64") from error
        return cls(keys)

    @staticmethod
    def generate(key_id: str) -> str:
        """Return a new random key in the form that :meth:`parse` takes."""
        return f"{key_id}:{base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()}"

    def cipher_for(self, key_id: str, place: Place) -> AESGCM:
        """Return the cipher of one key and place.

        Raises:
            MissingKey: when the ring has no key of that id.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise MissingKey(_missing(key_id, place))
        info = f"perdure/v{_version(place)}\0".encode() + _bytes_of(place)
        derived = HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=info)
        return AESGCM(derived.derive(key))


class Cipher:
    """Seals and opens values.

    Args:
        ring: the keys; None: new values stay plain, and sealed ones cannot be opened.
        accept_plain: open values that are not sealed as they are, which a ledger from before encryption has. Turn it
            off when none is left: who can write to the database could otherwise put plain values there.
    """

    def __init__(self, ring: KeyRing | None, *, accept_plain: bool = False) -> None:
        self._ring, self._accept_plain = ring, accept_plain or ring is None

    def seal(self, text: str, place: Place) -> str:
        """Return ``text`` sealed for ``place``, or as it is without a ring."""
        if self._ring is None:
            return text
        head, sealed = self._sealed(self._ring, text.encode(), place)
        return head + base64.urlsafe_b64encode(sealed).decode()

    def seal_bytes(self, data: bytes, place: Place) -> bytes:
        """Return ``data`` sealed for ``place``, or as it is without a ring."""
        if self._ring is None:
            return data
        head, sealed = self._sealed(self._ring, data, place)
        return head.encode() + sealed

    def open(self, stored: str, place: Place) -> str:
        """Return the text that was sealed for ``place``.

        Raises:
            MissingKey: when the key that it was sealed with is not in the ring.
            Undecipherable: when it was changed, or sealed for another place.
        """
        head = _HEAD.match(stored)
        if head is None:
            self.check_plain(place)
            return stored
        key_id, _, encoded = stored[head.end() :].partition(":")
        try:
            sealed = _from_base64(encoded)
        except (ValueError, binascii.Error) as error:
            raise Undecipherable(_changed(place, key_id)) from error
        return self._opened(key_id, sealed, _as_sealed(place, head[1])).decode()

    def open_bytes(self, stored: bytes, place: Place) -> bytes:
        """Return the bytes that were sealed for ``place``; raises as :meth:`open` does."""
        head = _HEAD.match(stored[:_HEAD_BYTES].decode("ascii", errors="replace"))
        if head is None:
            self.check_plain(place)
            return stored
        key_id, _, sealed = stored[head.end() :].partition(b":")
        return self._opened(key_id.decode("ascii", errors="replace"), sealed, _as_sealed(place, head[1]))

    def current(self, stored: str | bytes) -> bool:
        """Return whether a value is sealed with the key that seals now: when all are, older keys can go."""
        if self._ring is None:
            return True
        heads = tuple(f"enc:v{version}:{self._ring.sealing_id}:" for version in (1, 2))
        text = stored if isinstance(stored, str) else stored[: len(heads[0])].decode("ascii", errors="replace")
        return text.startswith(heads)

    def _sealed(self, ring: KeyRing, data: bytes, place: Place) -> tuple[str, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        with gate:  # no fork meanwhile: what the library makes when it is first used has locks
            ciphertext = ring.cipher_for(ring.sealing_id, place).encrypt(nonce, data, _bytes_of(place))
        return f"enc:v{_version(place)}:{ring.sealing_id}:", nonce + ciphertext

    def _opened(self, key_id: str, sealed: bytes, place: Place) -> bytes:
        if self._ring is None:
            raise MissingKey(_missing(key_id, place))
        with gate:
            cipher = self._ring.cipher_for(key_id, place)
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bytes_of(place))
            except (InvalidTag, ValueError) as error:
                raise Undecipherable(_changed(place, key_id)) from error

    def check_plain(self, place: Place) -> None:
        """Refuse a value that is not sealed, unless such are accepted.

        Raises:
            Undecipherable: They are not.
        """
        if not self._accept_plain:
            raise Undecipherable(
                f"{place} is not sealed, and plain values are not accepted here. If the ledger is older than its "
                "encryption, set encryption_accept_plain = true (PERDURE_ENCRYPTION_ACCEPT_PLAIN) until none is left; else "
                "somebody has written it past perdure"
            )


def _check_key_id(key_id: str, number: int) -> None:
    if not _KEY_ID.fullmatch(key_id):
        # Without showing it: somebody may have written the key where the id belongs.
        raise SettingsError(f"the id of encryption key number {number} must be 1-32 characters of A-Z a-z 0-9 _ -")


def _version(place: Place) -> int:
    return 1 if place.task is None else 2


def _as_sealed(place: Place, version: str) -> Place:
    """Return the place that a value of this version was sealed for: the first one knew no tasks."""
    return place._replace(task=None) if version == "1" else place._replace(task=place.task or "")


def _bytes_of(place: Place) -> bytes:
    parts = [place.column, *([] if place.task is None else [place.task])]
    sized = [len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts]
    return b"".join(sized) + place.job_id.encode()  # no two places give the same bytes


def _from_base64(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


def _missing(key_id: str, place: Place) -> str:
    return (
        f"{place} is sealed with key {key_id!r}, which this process does not have. Nothing is lost: add that key to "
        f"{KEYS_VARIABLE} (id:base64, after the key that seals) and restart"
    )


def _changed(place: Place, key_id: str) -> str:
    return (
        f"{place} does not open with key {key_id!r}: it was changed, or copied from another job or column, or its job was "
        "given another task, or another key has the same id. Restore it from a backup, or correct the key"
    )
