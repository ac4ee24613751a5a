"""The reject file is made once, where nothing was, and only what was made is ever changed or removed."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, Never

import pytest
import sqlalchemy as sa

from perdure import Discard
from perdure.errors import HandedBack
from perdure_tasks import tables
from perdure_tasks.importing import marker as markers
from perdure_tasks.importing.rejects import RejectFile
from support.context import RecordingContext

BAD = "id,name\n1,a\nx,=HYPERLINK(1)\ny,b\n"


@pytest.fixture
def database(sqlite_url: str) -> Any:
    engine = sa.create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)"))
    engine.dispose()
    return sqlite_url


@pytest.fixture
def file(tmp_path: Path) -> Any:
    path = tmp_path / "in" / "items.csv"
    path.parent.mkdir()
    path.write_text(BAD)
    return path


def import_csv(file: Path, database: Any, ctx: Any = None, **options: Any) -> Any:
    return tables.import_csv((ctx or RecordingContext()).given, str(file), database, "items", **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def lines(result: Any) -> Any:
    with open(result["reject_path"], newline="") as file:
        return [row[0] for row in csv.reader(file)]


def imported(database: Any) -> Any:
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(sa.text("SELECT id FROM items ORDER BY id"))]
    engine.dispose()
    return found


def put_file(path: Any) -> None:
    path.write_text("mine")


def put_link(path: Any) -> None:
    target = path.with_name("target")
    target.write_text("mine")
    path.symlink_to(target)


def written(path: Any) -> tuple[int, ...]:
    """What changes when something is done to a file; to follow a link is to read it, which changes its time of access."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_nlink, found.st_size, found.st_mtime_ns


def put_dangling_link(path: Any) -> None:
    path.symlink_to(path.with_name("nowhere"))


def put_hard_link(path: Any) -> None:
    target = path.with_name("target")
    target.write_text("mine")
    path.hardlink_to(target)


def put_old_rejects(path: Any) -> None:
    path.write_text("line,reason,id\n2,bad,x\n")


PUT = [put_file, put_link, put_dangling_link, put_hard_link, put_old_rejects, Path.mkdir, os.mkfifo]


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("text", [BAD, "id,name\n1,a\n"])
def test_what_is_at_a_reject_path_is_refused_before_anything_is_imported(
    file: Path, database: Any, tmp_path: Path, put: Any, text: str
) -> None:
    file.write_text(text)
    path = tmp_path / "rejects.csv"
    put(path)
    before = {each: written(each) for each in tmp_path.iterdir() if each.name in ("rejects.csv", "target")}
    with pytest.raises(Discard, match="is there already, and this import did not make it"):
        import_csv(file, database, reject_path=str(path))
    assert {each: written(each) for each in before} == before
    assert not path.with_name("nowhere").exists()
    assert imported(database) == []


@pytest.mark.parametrize("put", PUT)
def test_what_is_at_the_usual_place_is_left_alone(file: Path, database: Any, put: Any) -> None:
    usual = file.with_name("items.csv.items.rejects.csv")
    put(usual)
    before = written(usual)
    result = import_csv(file, database)
    assert lines(result) == ["line", "3", "4"]
    assert result["reject_path"] != str(usual)
    assert written(usual) == before
    assert not file.with_name("nowhere").exists()
    assert "target" not in names(file.parent) or file.with_name("target").read_text() == "mine"


def test_each_import_of_one_file_name_has_its_rejects(file: Path, database: Any) -> None:
    results = []
    for day in range(3):
        file.write_text(f"id,name\n{'x' * (day + 1)},a\n")
        results.append(import_csv(file, database))
    assert [Path(result["reject_path"]).read_text().splitlines()[1].split(",")[-2] for result in results] == [
        "x",
        "xx",
        "xxx",
    ]
    assert all(not name.startswith(".") for name in names(file.parent))


def test_a_crash_between_the_making_and_the_commit(
    file: Path, database: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crash(*args: Any) -> Never:
        raise KeyboardInterrupt

    for options in ({}, {"reject_path": str(tmp_path / "rejects.csv")}):
        ctx = RecordingContext()
        with monkeypatch.context() as patch:
            patch.setattr(markers, "save", crash)
            with pytest.raises(KeyboardInterrupt):
                import_csv(file, database, ctx, **options)
        result = import_csv(file, database, ctx, **options)
        assert lines(result) == ["line", "3", "4"] if not options else ["line", "2", "3", "4"]
        assert import_csv(file, database, ctx, **options) == result
        assert os.stat(result["reject_path"]).st_nlink == 1
        assert os.stat(result["reject_path"]).st_mode & 0o777 == 0o600


def test_a_crash_before_the_file_has_its_name_and_one_whose_rejects_went_away(
    file: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = RecordingContext()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            import_csv(file, database, ctx)
    assert lines(import_csv(file, database, ctx)) == ["line", "3", "4"]
    assert all(not name.startswith(".") for name in names(file.parent))


def test_a_crash_between_the_last_commit_and_the_end(file: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = RecordingContext()
    with monkeypatch.context() as patch:
        patch.setattr(RejectFile, "finish", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            import_csv(file, database, ctx)
    result = import_csv(file, database, ctx)
    assert lines(result) == ["line", "3", "4"]
    assert all(not name.startswith(".") for name in names(file.parent))


def test_another_file_in_place_of_the_one_begun_is_refused(file: Path, database: Any) -> None:
    ctx = RecordingContext(on_save=lambda state: (_ for _ in ()).throw(HandedBack))
    file.write_text(BAD.replace("1,a\n", ""))
    with pytest.raises(HandedBack):
        import_csv(file, database, ctx, batch_rows=1)
    usual = file.with_name("items.csv.items.rejects.csv")
    usual.unlink()
    usual.write_text("line,reason,id,name\n" + "x" * 1000)
    ctx.checkpoint.on_save = None
    with pytest.raises(Discard, match="has 0 bytes and not the"):
        import_csv(file, database, ctx)
    assert usual.read_text().endswith("x" * 1000)


def test_rejects_of_a_finished_import_are_their_owner_s(file: Path, database: Any) -> None:
    ctx = RecordingContext()
    result = import_csv(file, database, ctx)
    with open(result["reject_path"], "a") as rejected:
        rejected.write("a note\n")
    assert import_csv(file, database, ctx) == result
    assert Path(result["reject_path"]).read_text().endswith("a note\n")
    os.unlink(result["reject_path"])
    assert import_csv(file, database, ctx) == result


def test_a_file_system_without_hard_links(file: Path, database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*args: Any, **options: Any) -> Never:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    result = import_csv(file, database)
    assert lines(result) == ["line", "3", "4"]
    assert all(not name.startswith(".") for name in names(file.parent))
    file.with_name("other.csv").write_text("mine")
    with pytest.raises(Discard, match="is there already"):
        import_csv(file, database, reject_path=str(file.with_name("other.csv")))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1", "=cmd|' /C calc'!A0"])
def test_cells_that_are_formulas_to_spreadsheets_are_escaped(file: Path, database: Any, cell: Any) -> None:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["id", "name"], ["x", cell], ["y", "a=1"]])
    result = import_csv(file, database)
    with open(result["reject_path"], newline="") as rejected:
        rows = list(csv.reader(rejected))
    assert [row[-1] for row in rows] == ["name", f"'{cell}", "a=1"]
    assert not any(each.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for each in row)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/environ", "/proc/self/maps", "/sys/kernel/mm", "."])
def test_only_regular_files_are_imported(database: Any, path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Discard, match="is no regular file") as refused:
        import_csv(path, database, reject_path=str(tmp_path / "rejects.csv"))
    assert "PATH" not in str(refused.value)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    with pytest.raises(Discard, match="is no regular file"):
        import_csv(link, database, reject_path=str(tmp_path / "rejects.csv"))


def test_a_named_pipe_does_not_hold_a_worker(database: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Discard, match="is no regular file"):
        import_csv(tmp_path / "pipe", database)


def test_only_below_the_folders_that_the_operator_allows(
    file: Path, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "allowed-not"
    for folder in (allowed, other):
        folder.mkdir()
    inside, outside = allowed / "a.csv", other / "a.csv"
    inside.write_text(BAD)
    outside.write_text(BAD)
    monkeypatch.setenv("PERDURE_FILE_ROOTS", f"{tmp_path / 'none'}:{allowed}")
    (allowed / "link.csv").symlink_to(outside)
    (allowed / "folder").symlink_to(other)
    for path in (outside, allowed / ".." / "allowed-not" / "a.csv", allowed / "link.csv", allowed / "folder" / "a.csv"):
        with pytest.raises(Discard, match="PERDURE_FILE_ROOTS"):
            import_csv(path, database)
    for rejects in (other / "r.csv", allowed / "folder" / "r.csv"):
        with pytest.raises(Discard, match="PERDURE_FILE_ROOTS"):
            import_csv(inside, database, reject_path=str(rejects))
    assert import_csv(inside, database, reject_path=str(allowed / "r.csv"))["rejected"] == 2
    assert names(other) == {"a.csv"}


def test_a_folder_that_becomes_a_link_after_it_was_looked_at(
    file: Path, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed, other):
        folder.mkdir()
    (other / "a.csv").write_text(BAD)
    (allowed / "folder").symlink_to(other)
    monkeypatch.setenv("PERDURE_FILE_ROOTS", str(allowed))
    monkeypatch.setattr(tables, "checked_path", lambda what, path: path)  # it was a folder then
    with pytest.raises(Discard, match="PERDURE_FILE_ROOTS"):
        import_csv(allowed / "folder" / "a.csv", database)


def test_what_appears_at_a_reject_path_during_the_import_is_left_alone(file: Path, database: Any, tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    file.write_text("id,name\n1,a\n2,b\n")
    ctx = RecordingContext(on_save=lambda state: path.write_text("mine"))
    assert import_csv(file, database, ctx, reject_path=str(path), batch_rows=1)["rows"] == 2
    assert path.read_text() == "mine"
    file.write_text("id,name\n3,a\nx,b\n")
    path.unlink()
    ctx = RecordingContext(on_save=lambda state: path.write_text("mine"))
    with pytest.raises(Discard, match="is there already"):
        import_csv(file, database, ctx, reject_path=str(path), batch_rows=1)
    assert path.read_text() == "mine"
