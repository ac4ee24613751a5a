"""A drill does what it says: the accident happens, the operator's steps mend it, and a target that is missed is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from perdure_workers.cli.main import perdure
from perdure_workers.drills.accidents import ACCIDENTS
from perdure_workers.drills.command import NAMES, drill


def test_every_accident_has_a_drill() -> None:
    assert set(NAMES) == set(ACCIDENTS)


@pytest.mark.chaos
def test_a_purged_queue_is_brought_back_and_a_target_that_is_missed_is_told(tmp_path: Path) -> None:
    options: dict[str, Any] = dict(perdure.context_settings)
    ended = CliRunner().invoke(drill, ["operator-error", "--rto", "0.001", "--report", str(tmp_path), "--json"], **options)
    report = json.loads((tmp_path / "operator-error" / "drill.json").read_text())
    assert json.loads(ended.stdout) == report
    assert (ended.exit_code, report["met"], report["lost"], report["rpo"]) == (1, False, 0, 0.0)
    assert report["rto"] > 0.001
    restored = report["steps"][-1][1]
    assert int(restored.rpartition(": ")[2].split()[0]) >= 30, restored
