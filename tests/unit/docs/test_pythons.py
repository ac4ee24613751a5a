"""Which Pythons are declared, and that the documentation says which were run."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DECLARED = ["3.11", "3.12", "3.13", "3.14"]


def test_the_declared_versions_are_one_list_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = [
        line.rpartition(" ")[2]
        for line in project["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert said == DECLARED
    assert project["requires-python"] == f">={DECLARED[0]}"
    assert tomllib.loads((ROOT / "uv.lock").read_text())["requires-python"] == f">={DECLARED[0]}"
    running = (ROOT / "docs" / "running.md").read_text()
    assert f"Python {DECLARED[0]} to {DECLARED[-1]}" in running
    table = running[running.index("| Python | tests |") :]
    assert all(version in table for version in DECLARED), "it says what was run with each"


def test_this_python_is_one_of_them() -> None:
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in DECLARED
