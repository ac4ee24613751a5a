"""Type checkers say of users' code what is wrong with it, and nothing of what is right: mypy --strict and pyright."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from perdure import Perdure, SubmitOptions
from perdure.manage.jobs import FILTERS
from perdure.settings.settings import Settings
from perdure.submit.typed_options import JobFilters, JobOptions, MoreOptions, SettingsGiven, SubmitTypedOptions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "tests" / "typing" / "users_code.py"


def wrong_lines() -> set[int]:
    return {number for number, line in enumerate(CODE.read_text().splitlines(), 1) if "# wrong:" in line}


def run(*command: str) -> str:
    """Run a type checker on a user's file, with perdure installed."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(500)
def test_mypy() -> None:
    config = f"--config-file={CODE.with_name('mypy.ini')}"
    out = run(sys.executable, "-m", "mypy", config, f"--cache-dir={ROOT / '.mypy_cache' / 'users'}", str(CODE))
    found = re.findall(r"^(.+?):(\d+): error:", out, re.MULTILINE)
    assert {Path(file).name for file, _ in found} == {CODE.name}, out
    assert {int(line) for _, line in found} == wrong_lines(), out


@pytest.mark.timeout(500)
def test_pyright() -> None:
    binary = Path(sys.executable).with_name("basedpyright")
    out = run(str(binary), "--outputjson", "--project", str(CODE.parent), "--pythonpath", sys.executable)
    errors = [each for each in json.loads(out)["generalDiagnostics"] if each["severity"] == "error"]
    assert {error["range"]["start"]["line"] + 1 for error in errors} == wrong_lines(), errors


def test_the_names_are_those_that_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    register = get_type_hints(Perdure.register)
    assert set(JobOptions.__annotations__) == set(register) - {"function", "return"}
    assert set(SubmitTypedOptions.__annotations__) == set(SubmitOptions.__struct_fields__)
    assert tuple(JobFilters.__annotations__) == FILTERS
    own = {"delay", "run_at", "priority", "bulkhead"}  # of which Celery has names of its own
    assert set(MoreOptions.__annotations__) == set(SubmitOptions.__struct_fields__) - own
    assert set(SettingsGiven.__annotations__) == set(Settings.__struct_fields__)
