"""Which changes of an application's files are noticed, and what is no Python restarts nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure_workers.up.source_watch import SourceWatch, broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "shop.py",
        "pkg/jobs.py",
        "notes.txt",
        ".hidden/x.py",
        "env/pyvenv.cfg",
        "env/lib/y.py",
        "node_modules/z.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    return tmp_path


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "edited": (lambda at: (at / "pkg/jobs.py").write_text("x = 22\n"), ["pkg/jobs.py"]),
    "touched": (lambda at: os.utime(at / "shop.py", ns=(1, 1)), ["shop.py"]),
    "new": (lambda at: (at / "pkg/more.py").touch(), ["pkg/more.py"]),
    "gone": (lambda at: (at / "shop.py").unlink(), ["shop.py"]),
    "moved": (lambda at: (at / "pkg").rename(at / "other"), ["other/jobs.py", "pkg/jobs.py"]),
    "settings": (lambda at: (at / "perdure.toml").touch(), ["perdure.toml"]),
    "other files": (lambda at: (at / "notes.txt").write_text("more"), []),
    "hidden": (lambda at: (at / ".hidden/x.py").write_text("x = 22\n"), []),
    "environments": (lambda at: (at / "env/lib/y.py").write_text("x = 22\n"), []),
    "a link to nowhere": (lambda at: (at / "link.py").symlink_to(at / "nothing"), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes(folder: Path, change: str) -> None:
    watch = SourceWatch(folder)
    assert watch.changed() == []
    make, expected = CHANGES[change]
    make(folder)
    assert watch.changed() == [folder / name for name in expected]
    assert watch.changed() == []


@pytest.mark.parametrize("source", ["def f(:\n", "x = '\0'", "\xff\xfe"])
def test_what_is_no_python_is_told(folder: Path, source: str) -> None:
    (folder / "shop.py").write_bytes(source.encode("latin-1"))
    problem = broken([folder / "pkg/jobs.py", folder / "shop.py"])
    assert problem is not None
    assert problem.startswith(f"{folder / 'shop.py'}: ")


def test_what_is_gone_or_no_python_file_is_nothing_to_complain_of(folder: Path) -> None:
    (folder / "perdure.toml").write_text("[[")
    assert broken([folder / "gone.py", folder / "perdure.toml", folder / "shop.py"]) is None
