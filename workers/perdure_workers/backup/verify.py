"""Checking a backup: its checksums, its schema, that all rows are there and every blob that they refer to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure.errors import BackupFailed
from perdure.ledger.backup import restoring
from perdure.ledger.backup.snapshot import COPY_SUFFIX
from perdure.ledger.migrate import SCHEMA_VERSION
from perdure.model.blob_ref import BLOB
from perdure_workers.backup.archive import BLOBS, CHECKPOINTS, LEDGER, Manifest, unpack


@contextmanager
def verified(archive: Path) -> Iterator[tuple[Manifest, Path]]:
    """Yield the manifest of a backup and the folder of its files, which are as they were written.

    Raises:
        BackupFailed: Something is wrong with it; the message says what.
    """
    with tempfile.TemporaryDirectory(prefix="perdure-") as temporary:
        folder = Path(temporary)
        manifest = unpack(archive, folder)
        check_schema(archive, manifest)
        (_check_sqlite if manifest.dialect == "sqlite" else _check_postgresql)(archive, folder, manifest)
        for ref in manifest.blobs:
            if f"{BLOBS}/{ref.removeprefix(BLOB)}" not in manifest.files:
                raise BackupFailed(f"{archive}: {ref} is not in it, and the ledger refers to it. Take another backup")
        if manifest.checkpoints is not None and manifest.checkpoints != _lines(folder / CHECKPOINTS):
            raise BackupFailed(f"{archive} is damaged: it has not all {manifest.checkpoints} checkpoints")
        yield manifest, folder


def check_schema(archive: Path, manifest: Manifest) -> None:
    """Refuse what this release cannot restore: a newer schema, and on PostgreSQL an older one."""
    if manifest.schema == SCHEMA_VERSION or (manifest.dialect == "sqlite" and manifest.schema < SCHEMA_VERSION):
        return
    raise BackupFailed(
        f"{archive} has schema {manifest.schema}, this release needs {SCHEMA_VERSION}. Restore it with perdure "
        f"{manifest.release}, then upgrade: perdure db upgrade"
    )


def _check_sqlite(archive: Path, folder: Path, manifest: Manifest) -> None:
    tables, blobs, problem = restoring.check_sqlite(folder / LEDGER)
    if problem is not None:
        raise BackupFailed(f"{archive}: its ledger is damaged: {problem}. Take another one")
    if manifest.schema == SCHEMA_VERSION:
        _compare(archive, manifest, tables)
    if missing := sorted(set(blobs) - {*manifest.blobs, *manifest.missing}):
        raise BackupFailed(f"{archive}: its ledger refers to {missing[0]}, which is not in it")


def _check_postgresql(archive: Path, folder: Path, manifest: Manifest) -> None:
    _compare(archive, manifest, {name: _lines(folder / LEDGER / f"{name}{COPY_SUFFIX}") for name in manifest.tables})


def _compare(archive: Path, manifest: Manifest, found: dict[str, int]) -> None:
    for name, count in manifest.tables.items():
        if found.get(name) != count:
            raise BackupFailed(f"{archive}: {name} has {found.get(name)} rows, and had {count} when it was made")


def _lines(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as lines:  # COPY and JSON write line ends within values as \n
        return sum(1 for _ in lines)
