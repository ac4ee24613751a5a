"""What only files have: atomic replacement, full disks, leftovers of killed writers."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perdure.model.storage_errors import StoreFull, StoreUnavailable
from perdure.stores.backends.filesystem import FilesystemStore
from perdure.stores.record import CheckpointRecord


def record(seq: int = 1, data: bytes = b"state") -> CheckpointRecord:
    return CheckpointRecord("j-1", "main", seq=seq, fence=1, data=data, saved_at=0.0)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel writes up to ``size`` bytes of a file and then refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def all_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    store = FilesystemStore(str(tmp_path))
    store.save(record(1))
    before = all_files(tmp_path)
    with largest_file(4096), pytest.raises(StoreFull, match="nothing was written"):
        store.save(record(2, b"x" * 100_000))
    assert all_files(tmp_path) == before
    assert store.load("j-1", "main") == record(1)
    store.save(record(2))
    assert store.load("j-1", "main") == record(2)


def test_the_leftover_of_a_killed_writer_is_not_seen(tmp_path: Path) -> None:
    store = FilesystemStore(str(tmp_path))
    store.save(record(1))
    place = next(tmp_path.rglob("*.ckpt")).parent
    (place / ".tmp-killed").write_bytes(b"half")
    (place / "notes.txt").write_bytes(b"somebody's")
    assert [each.record for each in store.versions("j-1", "main")] == [record(1)]
    store.delete("j-1")
    assert all_files(tmp_path) == []


def test_no_more_than_two_files_stay(tmp_path: Path) -> None:
    store = FilesystemStore(str(tmp_path))
    for seq in range(20):
        store.save(record(seq))
    assert len(all_files(tmp_path)) == 2


def test_a_root_that_cannot_be_used_is_unhealthy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FilesystemStore(str(tmp_path / "file" / "root"))
    with pytest.raises(StoreUnavailable, match="cannot write"):
        store.health()
    with pytest.raises(StoreUnavailable):
        store.save(record())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_root_is_unhealthy(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(StoreUnavailable):
            FilesystemStore(str(tmp_path)).health()
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_without_fsync_it_stores_the_same(tmp_path: Path) -> None:
    store = FilesystemStore(f"file://{tmp_path}", fsync=False)
    store.save(record())
    assert FilesystemStore(str(tmp_path)).load("j-1", "main") == record()
