"""The demo's input and the checks of its results."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from perdure_tasks import files
from perdure_tasks.importing.columns import BadValue, RowMaker
from perdure_workers.demo import data
from perdure_workers.demo.checks import verify_archive
from perdure_workers.demo.receiver import planned_faults
from perdure_workers.demo.records import Records
from support.context import RecordingContext
from support.trees import make_tree


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    return make_tree(tmp_path / "tree")


def test_inventory_lists_each_file_once_and_bad_rows_are_truly_bad(tree: Path, tmp_path: Path) -> None:
    rows = data.list_files(tree, [])
    assert len(rows) == len([path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()])
    assert sum(row.size for row in rows) == data.total_bytes(tree, [])
    paths = data.write_csv_files(tmp_path, rows, per_file=20, bad=5, seed=1)
    maker = RowMaker([data.inventory.c[name] for name in data.HEADER])
    good = bad = 0
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            header, *records = csv.reader(file)
        assert header == data.HEADER
        assert len(records) <= 20
        for record in records:
            try:
                maker.row(record)
                good += 1
            except BadValue:
                bad += 1
    assert (good, bad) == (len(rows), 5)


def test_home_inside_the_tree_is_left_out(tree: Path) -> None:
    (tree / "home" / "x").mkdir(parents=True)
    assert data.exclusions(tree, tree / "home")[-1] == "home"
    assert data.exclusions(tree, tree.parent / "elsewhere") == data.EXCLUDE


def test_archive_is_verified_and_a_lie_is_found(tree: Path, tmp_path: Path) -> None:
    result = files.archive(RecordingContext().given, str(tree), str(tmp_path / "a.tar"))
    manifest = tmp_path / "a.tar.sha256"
    verified = verify_archive(tree, tmp_path / "a.tar", manifest)
    assert (verified.files, verified.wrong) == (result["files"], [])
    (tree / "with space").write_text("changed")
    assert verify_archive(tree, tmp_path / "a.tar", manifest).wrong == ["with space"]
    manifest.write_bytes(manifest.read_bytes().split(b"\n", 1)[1])
    assert len(verify_archive(tree, tmp_path / "a.tar", manifest).wrong) == 2


def test_faults_are_the_same_for_the_same_seed() -> None:
    plans = [planned_faults(1, number) for number in range(300)]
    assert plans == [planned_faults(1, number) for number in range(300)]
    assert plans != [planned_faults(2, number) for number in range(300)]
    assert {len(plan) for plan in plans} == {0, 1, 2}
    assert {fault for plan in plans for fault in plan} == {"503", "500", "dropped", "lost"}


def test_records_count_what_came_and_outlive_their_process(tmp_path: Path) -> None:
    records = Records(tmp_path / "received.jsonl")
    records.note("a", "lost", "event a")
    records.note("a", "recognised")
    records.note("b", "500")
    records.note("b", "done", "event b")
    records.note("c", "done", "event b")
    records.note("c", "recognised")
    again = Records(tmp_path / "received.jsonl")
    assert again.report() == records.report()
    assert again.tries("b") == 2
    assert again.report() == {
        "lost": 1,
        "recognised": 2,
        "500": 1,
        "done": 2,
        "forged": 0,
        "requests": 6,
        "effects": 3,
        "accepted_twice": 1,
        "events_twice": 1,
    }
