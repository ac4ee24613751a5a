"""Making a backup: the ledger as it is at one moment, then what it refers to.

In this order because blobs are written before the row that names them, and kept for long after: all that the ledger of that
moment names are there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

from perdure import Perdure
from perdure.errors import BackupFailed
from perdure.ledger.backup import snapshot
from perdure.ledger.migrate import SCHEMA_VERSION
from perdure.ledger.offloaded import in_frame
from perdure.model.blob_ref import BLOB
from perdure.model.storage_errors import BlobNotFound, CorruptBlob
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.record import CheckpointRecord
from perdure_workers.backup.archive import BLOBS, CHECKPOINTS, FORMAT, LEDGER, Manifest, writing

#: Told what is done, and how much of how much.
Told = Callable[[str, int, int], object]


def back_up(app: Perdure, archive: Path, told: Told = lambda *_: None) -> Manifest:
    """Write a backup and return its manifest; the platform may work meanwhile.

    Args:
        app: Whose ledger, blobs and checkpoints.
        archive: The file to be made, readable by its owner alone.
        told: Told what is done, and how much of how much.

    Raises:
        BackupFailed: The file is there, or cannot be written.
        LedgerUnavailable: The ledger cannot be read.
        StoreUnavailable: Blobs or checkpoints cannot be read.
    """
    archive = archive.absolute()
    app.ledger.count([])  # its schema is this release's, and there is one
    with writing(archive) as writer, tempfile.TemporaryDirectory(dir=archive.parent, prefix=".perdure-") as temporary:
        made_at, folder = time.time(), Path(temporary)
        taken = snapshot.take(app.ledger.database, folder, lambda done, of: told("ledger", done, of))
        for file in taken.files:
            writer.add(f"{LEDGER}/{file.name}", file)
        checkpoints, refs = None, set(taken.blobs)
        if not app.storage.in_ledger:
            checkpoints = _write_checkpoints(app.storage.store, folder / CHECKPOINTS, refs)
            writer.add(CHECKPOINTS, folder / CHECKPOINTS)
        missing = []
        for number, ref in enumerate(sorted(refs), 1):
            try:
                writer.add(f"{BLOBS}/{ref.removeprefix(BLOB)}", _blob(app, ref))
            except (BlobNotFound, CorruptBlob):  # what is lost already is no reason to lose the rest
                missing.append(ref)
            told("blobs", number, len(refs))
        manifest = Manifest(
            format=FORMAT,
            release=version("perdure"),
            made_at=made_at,
            dialect=app.ledger.database.dialect,
            schema=SCHEMA_VERSION,
            tables=taken.tables,
            blobs=sorted(refs - set(missing)),
            missing=missing,
            checkpoints=checkpoints,
            files=writer.files,
        )
        writer.end(manifest)
    return manifest


def _blob(app: Perdure, ref: str) -> bytes:
    blobs = app.ledger.vault.blobs
    if blobs is None:
        raise BackupFailed(f"the ledger refers to {ref}, and blob_store is not set: set it as workers have it")
    return blobs.get(ref)


def _write_checkpoints(store: CheckpointStore, file: Path, refs: set[str]) -> int:
    count = 0
    with file.open("wb") as lines:
        for record in _versions(store):
            lines.write(msgspec.json.encode(record) + b"\n")
            refs |= in_frame(record.data)
            count += 1
    return count


def _versions(store: CheckpointStore) -> Iterator[CheckpointRecord]:
    for job_id, name in dict.fromkeys(scan_all(store)):
        for each in reversed(store.versions(job_id, name)):  # the older one first, as it was saved
            if each.record is not None:
                yield each.record
