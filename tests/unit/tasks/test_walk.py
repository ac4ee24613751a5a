"""The order of a walk, and going on behind any of its entries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from perdure_tasks.archiving.walk import Unreadable, walk

PATHS = ["a/x/1", "a/x/2", "a/y", "a.txt", "a-b/1", "B/1", "ä", "empty/", "z/.hidden", "z/cache/1"]


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    for path in PATHS:
        target = tmp_path / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.write_text(path)
    (tmp_path / os.fsdecode(b"\xff")).write_text("no UTF-8")
    return tmp_path


def paths(entries: Any) -> Any:
    return [entry.path for entry in entries]


def test_folders_come_before_what_is_in_them_and_names_in_the_order_of_their_bytes(tree: Path) -> None:
    folders = ["B", "B/1", "a", "a/x", "a/x/1", "a/x/2", "a/y", "a-b", "a-b/1"]
    expected = [*folders, "a.txt", "empty", "z", "z/.hidden", "z/cache", "z/cache/1", "ä"]
    assert paths(walk(tree)) == [*expected, os.fsdecode(b"\xff")]


def test_going_on_behind_any_entry_gives_the_rest(tree: Path) -> None:
    whole = paths(walk(tree))
    for index, path in enumerate(whole):
        assert paths(walk(tree, after=path)) == whole[index + 1 :]


def test_going_on_behind_an_entry_that_is_gone(tree: Path) -> None:
    (tree / "a/x/1").unlink()
    rest = paths(walk(tree, after="a/x/1"))
    assert rest[:2] == ["a/x/2", "a/y"]


def test_finished_folders_are_not_listed_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    listdir = os.listdir

    def listing(path: str) -> list[str]:
        listed.append(os.path.relpath(path, tree))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", listing)
    list(walk(tree, after="a-b/1"))
    assert "a/x" not in listed
    assert "B" not in listed


def test_exclusion_by_name_and_by_path_with_all_below(tree: Path) -> None:
    found = paths(walk(tree, exclude=["cache", "a/x*", "*.txt"], own=frozenset({tree / "B/1"})))
    assert found == ["B", "a", "a/y", "a-b", "a-b/1", "empty", "z", "z/.hidden", "ä", os.fsdecode(b"\xff")]


def test_what_vanishes_is_reported_and_the_walk_goes_on(tree: Path) -> None:
    walking = walk(tree)
    seen = [next(walking)]
    (tree / "a.txt").unlink()
    seen += walking
    (gone,) = [entry for entry in seen if isinstance(entry, Unreadable)]
    assert (gone.path, gone.reason) == ("a.txt", "No such file or directory")
    assert seen[-1].path == os.fsdecode(b"\xff")
