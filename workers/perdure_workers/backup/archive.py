"""The archive: a compressed tar file of a manifest and what it lists, each with its SHA-256.

::

    manifest.json                   which release, when, what is inside
    ledger/...                      SQLite's file, or a COPY file of each of PostgreSQL's tables
    blobs/<sha256>                  what the ledger refers to in ``blob_store``
    checkpoints.jsonl               where ``checkpoint_store`` is not the ledger: the versions that it kept
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from perdure.errors import BackupFailed

FORMAT = 1
MANIFEST, LEDGER, BLOBS, CHECKPOINTS = "manifest.json", "ledger", "blobs", "checkpoints.jsonl"
#: Most of what is inside is JSON, which this makes a tenth already; more takes minutes.
_LEVEL = 3
_CHUNK = 1 << 20


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says of itself.

    Attributes:
        format: The archive's own version.
        release: The release of perdure that made it.
        made_at: When, in seconds since the Unix epoch.
        dialect: ``sqlite`` or ``postgresql``.
        schema: The ledger's schema.
        tables: How many rows each table has.
        blobs: What they refer to in the blob store.
        missing: What they refer to and was not there, or damaged.
        checkpoints: Versions of checkpoints of another store than the ledger; None where they are in the ledger.
        files: The SHA-256 of each file but the manifest.
    """

    format: int
    release: str
    made_at: float
    dialect: str
    schema: str
    tables: dict[str, int]
    blobs: list[str]
    missing: list[str]
    checkpoints: int | None
    files: dict[str, str]


class Writer:
    """Adds files to an archive that is being made.

    Args:
        tar: Where to.
    """

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: dict[str, str] = {}

    def add(self, name: str, source: Path | bytes) -> None:
        """Add a file, or bytes, under a name."""
        if isinstance(source, bytes):
            self.files[name] = hashlib.sha256(source).hexdigest()
            self._tar.addfile(_private(name, len(source)), io.BytesIO(source))
            return
        with source.open("rb") as file:
            self.files[name] = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._tar.addfile(_private(name, source.stat().st_size), file)

    def end(self, manifest: Manifest) -> None:
        """Add the manifest, which is what comes last."""
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._tar.addfile(_private(MANIFEST, len(data)), io.BytesIO(data))


@contextmanager
def writing(archive: Path) -> Iterator[Writer]:
    """Yield what writes an archive that only its owner can read; it is there, whole, when the block has ended well.

    Raises:
        BackupFailed: There is a file of that name, or none can be written.
    """
    if archive.exists():
        raise BackupFailed(f"{archive} is there already, and is not overwritten. Name another file, or delete it first")
    partial = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=_LEVEL) as tar:
                yield Writer(tar)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, archive)  # fails where somebody else has made one meanwhile
    except OSError as error:
        raise BackupFailed(f"{archive} cannot be written: {error.strerror or error}. Nothing of it is left") from error
    finally:
        partial.unlink(missing_ok=True)


def unpack(archive: Path, folder: Path) -> Manifest:
    """Write an archive's files to a folder, check each, and return the manifest.

    Raises:
        BackupFailed: It cannot be read, is no backup, is damaged, or was made by a newer release.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                _extract(tar, member, folder)
    except FileNotFoundError:
        raise BackupFailed(f"there is no {archive}") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BackupFailed(f"{archive} is damaged, or no backup: {error}. Take another one") from error
    except OSError as error:
        what = error.strerror or f"{error}: it is damaged, or no backup"
        raise BackupFailed(f"{archive} cannot be unpacked in {folder}: {what}. TMPDIR names another place") from error
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupFailed(f"{archive} is no backup of a ledger: its {MANIFEST}: {error}") from error
    if manifest.format != FORMAT:
        raise BackupFailed(f"{archive} was made by perdure {manifest.release}; restore it with that release")
    _check(archive, folder, manifest)
    return manifest


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a member to a folder; what no archive of ours has (links, devices, paths that lead elsewhere) is refused."""
    name = PurePosixPath(member.name)
    source = tar.extractfile(member) if member.isreg() else None
    if source is None or name.is_absolute() or ".." in name.parts:
        raise tarfile.TarError(f"{member.name!r} is no file of a backup")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _check(archive: Path, folder: Path, manifest: Manifest) -> None:
    found = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} - {MANIFEST}
    if missing := sorted(set(manifest.files) - found):
        raise BackupFailed(f"{archive} is damaged: {missing[0]} is missing. Take another one")
    if foreign := sorted(found - set(manifest.files)):
        raise BackupFailed(f"{archive} is damaged: {foreign[0]} was not in it when it was made. Take another one")
    for name, digest in manifest.files.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise BackupFailed(f"{archive} is damaged: {name} has another checksum. Take another one")


def _private(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info
