"""A drill does what it says: the accident happens, the operator's steps mend it, and a target that is missed is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from perdure_workers.chaos import evidence
from perdure_workers.cli.main import perdure
from perdure_workers.drills.accidents import ACCIDENTS
from perdure_workers.drills.command import NAMES, drill


def test_every_accident_has_a_drill() -> None:
    assert set(NAMES) == set(ACCIDENTS)


def run(name: str, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run a drill and return its exit code, its report, and what it printed."""
    settings: dict[str, Any] = dict(perdure.context_settings)
    ended = CliRunner().invoke(drill, [name, "--report", str(folder), "--json", *options], **settings)
    return ended.exit_code, json.loads((folder / name / "drill.json").read_text()), ended.stdout


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_region_that_is_lost_costs_what_the_other_one_did_not_have_yet_and_nothing_else(tmp_path: Path) -> None:
    code, report, _ = run("region-loss", tmp_path)
    assert (code, report["met"]) == (0, True)
    behind_since = -report["steps"][0][0]
    assert 0 < report["rpo"] < behind_since + 2, "lost is what was accepted since the standby was behind"
    assert 0 < report["lost"] < report["accepted"]
    assert report["doubled"] < report["accepted"] - report["lost"]
    runs = {(effect.job, effect.fence, effect.pid) for effect in evidence.effects(tmp_path / "region-loss")}
    assert len(runs) == len({(job, fence) for job, fence, _ in runs}), "a fence was given twice"


@pytest.mark.chaos
def test_a_purged_queue_is_brought_back_and_a_target_that_is_missed_is_told(tmp_path: Path) -> None:
    code, report, told = run("operator-error", tmp_path, "--rto", "0.001")
    assert json.loads(told) == report
    assert (code, report["met"], report["lost"], report["rpo"]) == (1, False, 0, 0.0)
    assert report["rto"] > 0.001
    restored = report["steps"][-1][1]
    assert int(restored.rpartition(": ")[2].split()[0]) >= 30, restored
