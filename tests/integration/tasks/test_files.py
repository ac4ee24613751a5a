"""``files.archive`` on real trees: what is in the archive, what the manifest says, what happens to trees that move."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any, Never

import pytest

from perdure import Discard, Snooze
from perdure.errors import HandedBack, JobCancelled
from perdure_tasks import files
from perdure_tasks.archiving.copier import CHUNK
from perdure_tasks.archiving.pair import Names
from support.context import RecordingContext
from support.trees import make_tree


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def destination(tmp_path: Path) -> Any:
    return tmp_path / "backups" / "tree.tar"


@pytest.fixture
def every_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a checkpoint after each chunk and each entry."""
    monkeypatch.setattr(files, "CHECKPOINT_S", 0.0)


def member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None
    return file


def archive(tree: Path | str, destination: Path, ctx: Any = None, **options: Any) -> Any:
    return files.archive((ctx or RecordingContext()).given, str(tree), str(destination), **options)


def check_manifest(folder: Path, destination: Path) -> Any:
    """Let coreutils check a tree against the manifest; return how many files it names."""
    manifest = destination.with_name(f"{destination.name}.sha256")
    command = ["sha256sum", "--check", "--strict", "--quiet", str(manifest)]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return len(manifest.read_bytes().splitlines())


def real_files(tree: Path) -> Any:
    return [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]


def test_archive_extracts_to_the_same_tree_and_the_manifest_verifies_both(
    tree: Path, destination: Path, tmp_path: Path
) -> None:
    ctx = RecordingContext()
    result = archive(tree, destination, ctx)
    extracted = tmp_path / "extracted"
    extracted.mkdir()
    subprocess.run(["tar", "-xf", str(destination), "-C", str(extracted)], check=True, timeout=30)
    assert check_manifest(tree, destination) == check_manifest(extracted, destination) == result["files"]
    subprocess.run(["diff", "-r", "--no-dereference", str(tree), str(extracted)], check=True, timeout=30)
    assert result["files"] == len(real_files(tree))
    assert result["bytes"] == sum(path.stat().st_size for path in real_files(tree))
    assert result["archive"] == str(destination)
    assert (result["skipped_count"], result["changed_count"], result["resumed"]) == (0, 0, [])
    assert sorted(os.listdir(destination.parent)) == ["tree.tar", "tree.tar.sha256"]
    assert ctx.reports[-1] == (result["bytes"], result["bytes"], f"{result['files']} of {result['files']} files")


def test_size_is_that_of_whole_records_and_modes_times_and_links_are_kept(tree: Path, destination: Path) -> None:
    (tree / "script").write_text("#!")
    (tree / "script").chmod(0o751)
    os.utime(tree / "script", ns=(10**18 + 123456789, 10**18 + 123456789))
    archive(tree, destination)
    assert destination.stat().st_size % tarfile.RECORDSIZE == 0
    with tarfile.open(destination) as tar:
        script = tar.getmember("script")
        assert script.mode == 0o751
        assert script.mtime == pytest.approx(1000000000.123456789, abs=1e-6)
        assert tar.getmember("dangling").linkname == "nowhere/at all"
        assert tar.getmember("empty").isdir()


def test_two_runs_make_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    archive(tree, tmp_path / "a.tar")
    archive(tree, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert (tmp_path / "a.tar.sha256").read_bytes() == (tmp_path / "b.tar.sha256").read_bytes()


def test_special_files_are_reported_and_exclusions_are_not(tree: Path, destination: Path) -> None:
    os.mkfifo(tree / "pipe")
    result = archive(tree, destination, exclude=["d1", "*space"])
    assert result["skipped"] == [{"path": "pipe", "reason": "is neither file, folder nor link"}]
    with tarfile.open(destination) as tar:
        names = tar.getnames()
    assert not [name for name in names if name.startswith("d1") or name in ("with space", "pipe")]
    assert "d0" in names


def test_archive_inside_its_own_tree_does_not_contain_itself(tree: Path) -> None:
    destination = tree / "d0" / "self.tar"
    archive(tree, destination)
    archive(tree, destination)
    with tarfile.open(destination) as tar:
        assert not [name for name in tar.getnames() if "self" in name]


def test_empty_tree(tmp_path: Path, destination: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = archive(tmp_path / "nothing", destination)
    assert (result["files"], result["bytes"]) == (0, 0)
    with tarfile.open(destination) as tar:
        assert tar.getnames() == []


def during(path_in_state: Any, act: Any) -> Any:
    """Return a hook that acts once, in the middle of the file of that name."""
    acted: list[bool] = []

    def hook(state: Any) -> None:
        opened = state["open"]
        if opened and opened["path"] == path_in_state and not acted:
            acted.append(True)
            act()

    return hook


@pytest.mark.slow
@pytest.mark.usefixtures("every_pulse")
def test_file_that_grows_is_archived_as_it_is_found_and_reported(tree: Path, destination: Path) -> None:
    log = tree / "log"
    log.write_bytes(b"x" * 3 * CHUNK)

    def hook(state: Any) -> None:
        if state["open"] and state["open"]["path"] == "log":
            with log.open("ab") as file:
                file.write(b"more")

    result = archive(tree, destination, RecordingContext(on_save=hook))
    assert result["changed"] == ["log"]
    with tarfile.open(destination) as tar:
        assert tar.getmember("log").size > 3 * CHUNK
        assert set(member(tar, "log").read(3 * CHUNK)) == {ord("x")}
        assert "with space" in tar.getnames()


@pytest.mark.slow
@pytest.mark.usefixtures("every_pulse")
def test_file_that_changes_once_is_read_again_and_is_whole(tree: Path, destination: Path) -> None:
    (tree / "data").write_bytes(b"x" * 3 * CHUNK)
    hook = during("data", lambda: (tree / "data").write_bytes(b"y" * 2 * CHUNK))
    result = archive(tree, destination, RecordingContext(on_save=hook))
    assert result["changed_count"] == result["skipped_count"] == 0
    check_manifest(tree, destination)
    with tarfile.open(destination) as tar:
        assert set(member(tar, "data").read()) == {ord("y")}


@pytest.mark.slow
@pytest.mark.usefixtures("every_pulse")
def test_file_that_keeps_shrinking_is_left_out_and_reported(tree: Path, destination: Path) -> None:
    data = tree / "data"
    data.write_bytes(b"x" * 10 * CHUNK)

    def hook(state: Any) -> None:
        if state["open"] and state["open"]["path"] == "data" and state["open"]["copied"] == CHUNK:
            os.truncate(data, data.stat().st_size - 3 * CHUNK)

    result = archive(tree, destination, RecordingContext(on_save=hook))
    assert result["skipped"] == [{"path": "data", "reason": "shrank while it was read"}]
    without = destination.with_name("without.tar")
    archive(tree, without, exclude=["data"])
    assert destination.read_bytes() == without.read_bytes()


@pytest.mark.usefixtures("every_pulse")
def test_file_that_vanishes_is_reported(tree: Path, destination: Path) -> None:
    def hook(state: Any) -> None:
        if state["after"] == "d4":
            (tree / "line\nend").unlink(missing_ok=True)

    result = archive(tree, destination, RecordingContext(on_save=hook))
    assert result["skipped"] == [{"path": "line\nend", "reason": "No such file or directory"}]


@pytest.mark.parametrize("stop", [HandedBack, KeyboardInterrupt])
@pytest.mark.usefixtures("every_pulse")
def test_stopped_at_any_checkpoint_and_taken_up_gives_the_same_bytes(
    tree: Path, destination: Path, tmp_path: Path, stop: Any
) -> None:
    (tree / "large").write_bytes(os.urandom(3 * CHUNK + 100))
    archive(tree, tmp_path / "whole.tar")
    ctx, stops = RecordingContext(), 0

    def hook(state: Any) -> None:
        if state["total_files"] is not None and not state["is_sealed"] and len(ctx.checkpoint.saved) % 7 == 0:
            raise stop

    ctx.checkpoint.on_save = hook
    while True:
        try:
            result = archive(tree, destination, ctx)
            break
        except (HandedBack, KeyboardInterrupt):
            stops += 1
            ctx.attempt += 1
            ctx.checkpoint.saved.append(ctx.checkpoint.saved[-1])  # the count goes on
    assert stops > 5
    assert destination.read_bytes() == (tmp_path / "whole.tar").read_bytes()
    assert (destination.parent / "tree.tar.sha256").read_bytes() == (tmp_path / "whole.tar.sha256").read_bytes()
    reached = [resumption["bytes"] for resumption in result["resumed"]]
    assert reached == sorted(reached)
    assert reached[-1] > 0


@pytest.mark.usefixtures("every_pulse")
def test_finished_files_are_not_read_again_and_a_large_one_goes_on_in_its_middle(
    tree: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "zz-large").write_bytes(os.urandom(4 * CHUNK))

    def hook(state: Any) -> None:
        if state["open"] and state["open"]["path"] == "zz-large" and state["open"]["copied"] >= 2 * CHUNK:
            raise HandedBack

    ctx = RecordingContext(on_save=hook)
    with pytest.raises(HandedBack):
        archive(tree, destination, ctx)
    assert not destination.exists()
    ctx.checkpoint.on_save, ctx.attempt = None, 2
    read: list[int] = []

    def reading(file: IO[bytes], size: int) -> bytes:
        read.append(size)
        return file.read(size)

    monkeypatch.setattr("perdure_tasks.archiving.copier._read", reading)
    result = archive(tree, destination, ctx)
    assert sum(read) < 2 * CHUNK + 100
    assert result["resumed"][0]["attempt"] == 2
    assert result["resumed"][0]["bytes"] >= 2 * CHUNK
    check_manifest(tree, destination)


@pytest.mark.usefixtures("every_pulse")
def test_file_changed_between_attempts_is_read_from_its_start(tree: Path, destination: Path) -> None:
    (tree / "large").write_bytes(b"x" * 4 * CHUNK)

    def hook(state: Any) -> None:
        if state["open"] and state["open"]["path"] == "large":
            raise HandedBack

    ctx = RecordingContext(on_save=hook)
    with pytest.raises(HandedBack):
        archive(tree, destination, ctx)
    (tree / "large").write_bytes(b"y" * 2 * CHUNK)
    ctx.checkpoint.on_save = None
    archive(tree, destination, ctx)
    check_manifest(tree, destination)


def test_unfinished_archive_that_is_lost_is_begun_again(
    tree: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECKPOINT_S", 0.0)
    ctx = RecordingContext()

    def hook(state: Any) -> None:
        if state["files"] > 20:
            raise HandedBack

    ctx.checkpoint.on_save = hook
    with pytest.raises(HandedBack):
        archive(tree, destination, ctx)
    for part in destination.parent.iterdir():
        part.unlink()
    ctx.checkpoint.on_save = None
    archive(tree, destination, ctx)
    check_manifest(tree, destination)


def test_finished_archive_is_not_made_again(tree: Path, destination: Path) -> None:
    ctx = RecordingContext()
    first = archive(tree, destination, ctx)
    inode = destination.stat().st_ino
    assert archive(tree, destination, ctx) == first
    assert destination.stat().st_ino == inode


@pytest.mark.usefixtures("every_pulse")
def test_crash_between_the_two_names(tree: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = RecordingContext()
    publish = Names.publish

    def half(names: Any) -> Never:
        names.manifest_part.replace(names.manifest)
        raise KeyboardInterrupt

    monkeypatch.setattr(Names, "publish", half)
    with pytest.raises(KeyboardInterrupt):
        archive(tree, destination, ctx)
    monkeypatch.setattr(Names, "publish", publish)
    archive(tree, destination, ctx)
    check_manifest(tree, destination)
    assert len(os.listdir(destination.parent)) == 2


@pytest.mark.usefixtures("every_pulse")
def test_cancelled_archive_leaves_nothing(tree: Path, destination: Path) -> None:
    def hook(state: Any) -> Never:
        raise JobCancelled("cancelled")

    with pytest.raises(JobCancelled):
        archive(tree, destination, RecordingContext(on_save=hook))
    assert os.listdir(destination.parent) == []


def test_archive_that_another_process_still_writes_is_put_off(tree: Path, destination: Path) -> None:
    ctx = RecordingContext(key="nightly")

    def hook(state: Any) -> None:
        with pytest.raises(Snooze, match="still writes"):
            archive(tree, destination, RecordingContext(key="nightly"))

    ctx.checkpoint.on_save = hook
    archive(tree, destination, ctx)
    check_manifest(tree, destination)


@pytest.mark.parametrize(
    ("tree_name", "destination_name", "options", "message"),
    [
        ("missing", "a.tar", {}, "is no folder"),
        ("tree/with space", "a.tar", {}, "is no folder"),
        ("tree", "tree", {}, "is a folder"),
        ("tree", "a.tar", {"bytes_per_second": 0}, "must be positive"),
    ],
)
def test_wrong_call_is_discarded(
    tree: Path, tmp_path: Path, tree_name: Any, destination_name: Any, options: Any, message: str
) -> None:
    with pytest.raises(Discard, match=message):
        archive(tmp_path / tree_name, tmp_path / destination_name, **options)


def test_foreign_checkpoint_is_discarded(tree: Path, destination: Path) -> None:
    ctx = RecordingContext()
    ctx.checkpoint.save({"files": "many"})
    with pytest.raises(Discard, match=r"not one of files\.archive"):
        archive(tree, destination, ctx)


def test_what_the_kernel_makes_up_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(Discard):
        archive("/proc/self/environ", tmp_path / "a.tar")
    result = archive("/proc/self/net", tmp_path / "a.tar")
    assert result["files"] == 0
    assert {each["reason"] for each in result["skipped"]} >= {"is made up by the kernel"}


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pipe", "x.tar.sha256"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(Discard, match="is no regular file and is not replaced"):
            archive(tree, tmp_path / name.removesuffix(".sha256"))
        assert (tmp_path / name).is_fifo()


def test_unfinished_files_are_not_written_through_links(tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "target"
    tree.mkdir()
    target.write_text("mine")
    token = hashlib.sha256(b"k").hexdigest()[:12]
    (tmp_path / f".a.tar.{token}.part").symlink_to(target)
    with pytest.raises(Discard, match="is a symbolic link and is not followed"):
        archive(tree, tmp_path / "a.tar", RecordingContext(key="k"))
    assert target.read_text() == "mine"


def test_only_below_the_folders_that_the_operator_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, other = tmp_path / "allowed" / "tree", tmp_path / "other"
    for folder in (tree, other):
        folder.mkdir(parents=True)
    monkeypatch.setenv("PERDURE_FILE_ROOTS", str(tmp_path / "allowed"))
    for source, destination in ((other, tree.parent / "a.tar"), (tree, other / "a.tar")):
        with pytest.raises(Discard, match="PERDURE_FILE_ROOTS"):
            archive(source, destination)
    assert archive(tree, tree.parent / "a.tar")["files"] == 0
