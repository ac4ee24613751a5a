"""Putting a backup back. Blobs and checkpoints come first: what the ledger names is there before it names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from perdure import Perdure
from perdure.errors import BackupFailed, JobNotFound
from perdure.ledger.backup import restoring
from perdure.ledger.backup.fencing import Fenced
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.record import CheckpointRecord
from perdure_workers.backup.archive import BLOBS, CHECKPOINTS, LEDGER, Manifest
from perdure_workers.backup.verify import verified

#: Told what is done, and how much of how much.
Told = Callable[[str, int, int], object]


def restore(
    app: Perdure, archive: Path, *, overwrite: bool, despite_workers: bool, told: Told = lambda *_: None
) -> tuple[Manifest, Fenced]:
    """Put a backup in the place of a ledger, its blobs and its checkpoints, and return what it was and what was done.

    Whoever worked on the ledger before has no lease on the restored one and can write nothing; what ran when the backup was
    made waits again.

    Args:
        app: Whose ledger.
        archive: The backup.
        overwrite: Whether a ledger that is not empty is replaced.
        despite_workers: Whether it is while workers live on it: they lose their leases and start anew.
        told: Told what is done, and how much of how much.

    Raises:
        BackupFailed: The archive is damaged, does not fit, or something stands in its way. Nothing was changed.
        LedgerUnavailable: The ledger cannot be written; it is as it was.
        StoreUnavailable: Blobs or checkpoints cannot be written; the ledger is as it was.
    """
    told("checking", 0, 1)
    with verified(archive) as (manifest, folder):
        told("checking", 1, 1)
        _refuse(app, archive, manifest, overwrite, despite_workers)
        _put_blobs(app, folder / BLOBS, told)
        told("ledger", 0, 1)
        if app.ledger.database.dialect == "postgresql":
            app.ledger.upgrade()
        if manifest.checkpoints is not None:
            _put_checkpoints(app, folder / CHECKPOINTS)
        fenced = restoring.restore(app.ledger.database, folder / LEDGER)
        told("ledger", 1, 1)
    return manifest, fenced


def _refuse(app: Perdure, archive: Path, manifest: Manifest, overwrite: bool, despite_workers: bool) -> None:
    ledger = app.ledger.database
    if manifest.dialect != ledger.dialect:
        raise BackupFailed(f"{archive} is of a {manifest.dialect} ledger, and {ledger.name} is none")
    if manifest.blobs and app.ledger.vault.blobs is None:
        raise BackupFailed(
            f"{archive} has {len(manifest.blobs)} blobs, and blob_store is not set: set it as workers have it"
        )
    if (manifest.checkpoints is None) != app.storage.in_ledger:
        kept = "in the ledger" if manifest.checkpoints is None else "in a store of their own"
        raise BackupFailed(f"{archive} has its checkpoints {kept}: set checkpoint_store as it was, then restore")
    if restoring.is_empty(ledger):
        return
    if not overwrite:
        raise BackupFailed(
            f"{ledger.name} is not empty. What is in it is lost with --overwrite; keep it by: perdure db backup"
        )
    live = [each.name for each in app.workers.list() if each.heartbeat_age < app.settings.lease_ttl]
    if live and not despite_workers:
        raise BackupFailed(
            f"workers live on {ledger.name}: {', '.join(live)}. Stop them (perdure down), or restore under them with "
            "--despite-workers: they lose their leases, what they run is not written, and they start anew"
        )


def _put_blobs(app: Perdure, folder: Path, told: Told) -> None:
    files = sorted(folder.iterdir()) if folder.exists() else []
    for number, file in enumerate(files, 1):
        assert app.ledger.vault.blobs is not None
        app.ledger.vault.blobs.put(file.read_bytes())
        told("blobs", number, len(files))


def _put_checkpoints(app: Perdure, file: Path) -> None:
    """Give each job the checkpoints that it had; those of jobs that came later go with their jobs."""
    store = app.storage.store
    with file.open("rb") as lines:
        records = [msgspec.json.decode(line, type=CheckpointRecord) for line in lines]
    for job_id in {record.job_id for record in records} | set(_ours(app, store)):
        store.delete(job_id)
    for record in records:
        store.save(record)


def _ours(app: Perdure, store: CheckpointStore) -> list[str]:
    """Return the jobs of the ledger that is replaced that have checkpoints; others may use the same store."""
    if restoring.is_empty(app.ledger.database):
        return []
    return [job_id for job_id in {key.job_id for key in scan_all(store)} if _is_known(app, job_id)]


def _is_known(app: Perdure, job_id: str) -> bool:
    try:
        app.ledger.jobs.get(job_id)
    except JobNotFound:
        return False
    return True
