"""``perdure demo`` as a user runs it: real processes, a real kill, all promises kept, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.trees import make_tree


@pytest.mark.chaos
@pytest.mark.timeout(200)
def test_demo_keeps_its_promises_and_leaves_no_process(tmp_path: Path) -> None:
    tree, home = make_tree(tmp_path / "tree", files=500), tmp_path / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    command = [sys.executable, "-m", "perdure_workers", "demo", "--home", str(home), "--tree", str(tree), "--json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert summary["ok"]
    assert summary["submitted"] == summary["succeeded"] + 1
    assert (summary["duplicates"], summary["dead_letters"], summary["replayed"]) == (0, 1, 1)
    assert summary["retried"] > 20
    assert not [process.pid for process in psutil.process_iter() if str(home) in " ".join(_command(process))]


def test_tree_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "perdure_workers", "demo", "--tree", str(tmp_path / "empty")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "has nothing in it to archive" in done.stderr


def _command(process: Any) -> Any:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
