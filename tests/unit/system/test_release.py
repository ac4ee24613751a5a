"""Which commit is checked out, read from git's own files: a branch, a packed one, a detached head, a second work tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.system.release import SHORT, checked_out


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    monkeypatch.chdir(folder)
    return folder


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")[:SHORT]


def test_a_branch(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked_out() == head(repository)
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    assert checked_out() == head(repository)


def test_a_branch_that_is_packed(repository: Path) -> None:
    git(repository, "pack-refs", "--all")
    assert checked_out() == head(repository)


def test_a_commit_without_a_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert checked_out() == head(repository)


def test_a_second_work_tree(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "second")
    monkeypatch.chdir(tmp_path / "other")
    assert checked_out() == head(tmp_path / "other") != head(repository)


def test_a_repository_without_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    assert checked_out() is None


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_out() is None


def test_the_setting_comes_first(repository: Path) -> None:
    assert Perdure(release="2.0").ledger._work.release == "2.0"
    assert Perdure().ledger._work.release == head(repository)
