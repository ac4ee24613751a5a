"""Backups: what was in one is there again after a restore, and nobody who lived before it can write any more."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.errors import BackupFailed, LeaseLost
from perdure.ledger.backup.fencing import GAP
from perdure.ledger.running import replicated_log
from perdure.ledger.running.replicated_log import LogEntry
from perdure.model.records import Claim
from perdure.model.replication import Fenced
from perdure.stores.record import CheckpointRecord
from perdure_workers.backup import archive as archives
from perdure_workers.backup import verify
from perdure_workers.backup.backup import back_up
from perdure_workers.backup.restore import restore
from perdure_workers.backup.verify import verified
from support.cli import invoke
from support.ledgers import DIE, SUCCEED, claimed, submitted, try_claim
from support.ledgers import running as run

BIG = "x" * 5000


@pytest.fixture
def platform(app: Perdure, tmp_path: Path) -> Perdure:
    """An application whose blobs and checkpoints are outside of the ledger."""
    settings: dict[str, Any] = {
        "ledger_url": app.settings.ledger_url,
        "broker_url": app.settings.broker_url,
        "home": app.settings.home,
    }
    stores: dict[str, Any] = {
        "blob_store": str(tmp_path / "blobs"),
        "offload_threshold": 1024,
        "checkpoint_store": str(tmp_path / "cps"),
    }
    platform = Perdure(**settings, **stores)
    platform.job(name="tests.add")(lambda text: None)
    return platform


def register(app: Perdure, worker: str) -> str:
    row = {"id": worker, "name": worker, "bulkhead": "normal", "host": "h", "pid": os.getpid(), "concurrency": 1}
    app.ledger.workers.register(row | {"lease_ttl": 5.0, "lock_path": None})
    return worker


def save(app: Perdure, claim: Claim, data: bytes) -> None:
    def made(seq: int) -> CheckpointRecord:
        return CheckpointRecord(claim.job_id, "main", seq, claim.fence, data, 1.0)

    app.storage.save(made, claim.job_id, claim.fence, "main", 0)


def test_what_was_in_a_backup_is_there_again_and_who_lived_before_is_fenced(platform: Perdure, tmp_path: Path) -> None:
    app, ledger, file = platform, platform.ledger, tmp_path / "monday.tar.gz"
    worker = register(app, "w-1")
    big = app.task("tests.add").submit(BIG)
    running, waiting, stopping = run(ledger, 1), submitted(ledger, 2), run(ledger, 3)
    ledger.jobs.cancel(stopping.job_id, "stop")
    dead = run(ledger, 4)
    letter = ledger.jobs.settle(dead, DIE)
    save(app, running, b"first")
    steps: list[str] = []

    manifest = back_up(app, file, lambda what, _done, _of: steps.append(what))

    assert {*steps} == {"ledger", "blobs"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (manifest.tables["perdure_jobs"], manifest.checkpoints, len(manifest.blobs)) == (5, 1, 1)
    save(app, running, b"second")
    ledger.jobs.settle(running, SUCCEED)
    zombie = claimed(ledger, waiting)  # its fence is the one that the restored ledger would give next
    later = submitted(ledger, 5)
    app.dead_letters.replay(str(letter), by="test")
    for blob in (tmp_path / "blobs").rglob("*"):
        if blob.is_file() and blob.parent.name != "ledgers":
            blob.unlink()

    with pytest.raises(BackupFailed, match=r"not empty.*--overwrite"):
        restore(app, file, overwrite=False, despite_workers=False)
    with pytest.raises(BackupFailed, match=r"workers live on .*: w-1.*--despite-workers"):
        restore(app, file, overwrite=True, despite_workers=False)
    _, fenced = restore(app, file, overwrite=True, despite_workers=True)

    assert (fenced.taken_back, fenced.workers, fenced.waiting) == (2, 1, 3)
    assert ledger.workers.beat(worker) is None
    states = {job.id: job.state for job in app.jobs.list()}
    assert states == {
        big.id: "queued",
        running.job_id: "queued",
        waiting: "queued",
        dead.job_id: "dead",
        stopping.job_id: "cancelled",
    }
    assert later not in states
    assert app.dead_letters.get(str(letter)).status == "open"
    assert BIG in str(big.refresh().record.args)
    assert try_claim(ledger, waiting) is None  # its worker has no lease
    register(app, "w-2")
    again = claimed(ledger, waiting, worker="w-2")
    assert again.fence > zombie.fence + GAP - 2
    for lost in (zombie, running):
        with pytest.raises(LeaseLost):
            ledger.jobs.settle(lost, SUCCEED)
        with pytest.raises(LeaseLost):
            save(app, lost, b"by a zombie")
    goes_on = claimed(ledger, running.job_id, worker="w-2")
    found = app.storage.find(goes_on, "main", "checkpoint")
    assert found.data == b"first"
    save(app, goes_on, b"third")
    assert goes_on.attempt == running.attempt  # it is not to blame: neither an attempt nor a crash counts
    assert [attempt.outcome for attempt in ledger.jobs.attempts(running.job_id)] == ["handed_back"]
    ledger.jobs.settle_all([(goes_on, SUCCEED), (again, SUCCEED)])


def test_after_a_restore_a_key_names_the_job_that_the_backup_knew(app: Perdure, tmp_path: Path) -> None:
    add = app.job(name="tests.add")(lambda text: None)
    before = add.options(idempotency_key="before").submit("a")
    back_up(app, tmp_path / "a.tar.gz")
    after = add.options(idempotency_key="after").submit("b")
    restore(app, tmp_path / "a.tar.gz", overwrite=True, despite_workers=False)

    # Whoever is not sure what came through submits all of it again.
    again = [add.options(idempotency_key=key).submit(text) for key, text in (("before", "a"), ("after", "b"))]
    assert (again[0].id, again[0].deduplicated, again[1].deduplicated) == (before.id, True, False)
    assert {job.id for job in app.jobs.list()} == {before.id, again[1].id} != {before.id, after.id}


def test_after_a_restore_who_was_primary_before_writes_nothing(app: Perdure, tmp_path: Path) -> None:
    ledger, as_primary = app.ledger, LogEntry(1, 1, "o-1", "job", "1", "1")
    ledger.read(lambda c: replicated_log.ensure(c, "stock", ["eu", "us"]))
    seen = ledger.read(lambda c: replicated_log.group(c, "stock"))
    back_up(app, tmp_path / "a.tar.gz")
    restore(app, tmp_path / "a.tar.gz", overwrite=True, despite_workers=False)

    # All that it has seen is as it was, but for the epoch.
    with pytest.raises(Fenced, match=f"of epoch {1 + GAP}, at operation 0"):
        ledger.read(lambda c: replicated_log.record(c, "stock", seen, as_primary))
    assert ledger.read(lambda c: replicated_log.promote(c, "stock", seen, "us", "failover", "eu is away")) is None
    now = ledger.read(lambda c: replicated_log.group(c, "stock"))
    assert (now.primary, now.sequence) == ("eu", 0)
    ledger.read(lambda c: replicated_log.record(c, "stock", now, as_primary))


def broken(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def leads_out(file: Path) -> None:
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())


def links_out(file: Path) -> None:
    link = tarfile.TarInfo("ledger")
    link.type, link.linkname = tarfile.SYMTYPE, "/"
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(link)


@pytest.mark.parametrize(
    "spoil", [broken, cut, leads_out, links_out, lambda file: file.write_bytes(b"no archive"), Path.unlink]
)
def test_a_damaged_archive_is_refused(sqlite_app: Perdure, tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    job_id, file = submitted(sqlite_app.ledger, os.urandom(3000).hex()), tmp_path / "a.tar.gz"
    back_up(sqlite_app, file)
    spoil(file)
    for command in (("verify",), ("restore", "--overwrite")):
        ended = invoke(sqlite_app, "db", command[0], str(file), *command[1:])
        assert isinstance(ended.exception, BackupFailed), ended
        assert "damaged" in str(ended.exception) or "there is no" in str(ended.exception)
    assert sqlite_app.jobs.get(job_id).state == "queued"


def test_a_backup_is_verified_from_the_command_line(
    sqlite_app: Perdure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(sqlite_app.ledger, 1)
    file = tmp_path / "a.tar.gz"
    made = invoke(sqlite_app, "db", "backup", str(file))
    assert (made.exit_code, "1 jobs, 0 blobs" in made.stdout) == (0, True)
    assert invoke(sqlite_app, "db", "verify", str(file)).stdout.startswith(f"{file} is whole: schema ")
    assert isinstance(invoke(sqlite_app, "db", "backup", str(file)).exception, BackupFailed)  # it is never overwritten
    restored = invoke(sqlite_app, "db", "restore", str(file), "--overwrite", "--json")
    assert (restored.exit_code, '"waiting": 1' in restored.stdout) == (0, True)
    monkeypatch.setattr(verify, "SCHEMA_VERSION", "0001")
    failed = invoke(sqlite_app, "db", "verify", str(file)).exception
    assert "Restore it with perdure" in str(failed)


def test_rows_that_are_missing_are_noticed(sqlite_app: Perdure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, end = tmp_path / "a.tar.gz", archives.Writer.end

    def one_more(self: archives.Writer, manifest: archives.Manifest) -> None:
        manifest.tables["perdure_jobs"] += 1
        end(self, manifest)

    monkeypatch.setattr(archives.Writer, "end", one_more)
    back_up(sqlite_app, file)
    with pytest.raises(BackupFailed, match="perdure_jobs has 0 rows, and had 1"), verified(file):
        pass


def test_where_it_cannot_be_written_nothing_is_left(
    sqlite_app: Perdure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(sqlite_app.ledger, 1)
    with pytest.raises(BackupFailed, match="cannot be written: No such file or directory"):
        back_up(sqlite_app, tmp_path / "nowhere" / "a.tar.gz")

    def full(_self: object, _name: str, _source: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "here").mkdir()
    monkeypatch.setattr(archives.Writer, "add", full)
    with pytest.raises(BackupFailed, match=r"No space left on device\. Nothing of it is left"):
        back_up(sqlite_app, tmp_path / "here" / "a.tar.gz")
    assert list((tmp_path / "here").iterdir()) == []
