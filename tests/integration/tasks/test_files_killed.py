"""``files.archive`` killed with -9 at random moments: the archive is the one of a run that nobody disturbed."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from perdure_tasks import files
from support.context import RecordingContext
from support.run_task import run_under_fire
from support.thorough import part_of
from support.trees import make_tree

pytestmark = pytest.mark.slow


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(1, part_of(8)))
def test_archive_under_fire_is_the_same_archive(tmp_path: Path, seed: int) -> None:
    tree = make_tree(tmp_path / "tree", files=400, largest=20_000, seed=seed)
    (tree / "large").write_bytes(random.Random(seed).randbytes(2_000_000))
    files.archive(RecordingContext().given, str(tree), str(tmp_path / "whole.tar"))
    destination = tmp_path / "out" / "tree.tar"
    spec = {
        "task": "files.archive",
        "key": "nightly",
        "checkpoint": str(tmp_path / "checkpoint.json"),
        "constants": {"CHECKPOINT_S": 0.02},
        "kwargs": {"tree": str(tree), "destination": str(destination), "bytes_per_second": 3_000_000},
    }
    result, killed = run_under_fire(spec, kills=6, rng=random.Random(seed), longest=0.15)
    assert killed >= 4
    assert len(result["resumed"]) >= 3
    assert destination.read_bytes() == (tmp_path / "whole.tar").read_bytes()
    manifest = destination.with_name("tree.tar.sha256")
    assert manifest.read_bytes() == (tmp_path / "whole.tar.sha256").read_bytes()
    subprocess.run(["sha256sum", "--check", "--quiet", str(manifest)], cwd=tree, check=True, timeout=30)
    assert json.loads((tmp_path / "checkpoint.json").read_text())["is_sealed"]
    assert len(list(destination.parent.iterdir())) == 2
