"""A drill does what it says: the accident happens, the operator's steps mend it, and a target that is missed is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from perdure.settings.drill_settings import DEFAULT_TARGETS
from perdure_workers.chaos import evidence
from perdure_workers.cli.main import perdure
from perdure_workers.drills.accidents import ACCIDENTS
from perdure_workers.drills.command import drill


def test_every_accident_has_a_drill_and_every_drill_its_targets() -> None:
    assert DEFAULT_TARGETS.keys() == ACCIDENTS.keys()


def practise(name: str, folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a drill and return its exit code and its report."""
    more: dict[str, Any] = dict(perdure.context_settings)
    ended = CliRunner().invoke(drill, [name, *options, "--report", str(folder), "--json"], **more)
    report = json.loads((folder / name / "drill.json").read_text())
    assert json.loads(ended.stdout) == report
    return ended.exit_code, report


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_region_that_is_lost_costs_what_the_other_one_did_not_have_yet_and_nothing_else(tmp_path: Path) -> None:
    code, report = practise("region-loss", tmp_path)
    assert (code, report["met"]) == (0, True)
    behind_since = -report["steps"][0][0]
    assert 0 < report["rpo"] < behind_since + 2, "lost is what was accepted since the standby was behind"
    assert 0 < report["lost"] < report["accepted"]
    assert report["doubled"] < report["accepted"] - report["lost"]
    runs = {(effect.job, effect.fence, effect.pid) for effect in evidence.effects(tmp_path / "region-loss")}
    assert len(runs) == len({(job, fence) for job, fence, _ in runs}), "a fence was given twice"


@pytest.mark.chaos
def test_a_purged_queue_is_brought_back_and_a_target_that_is_missed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_DRILLS__OPERATOR_ERROR__RTO", "0.001")
    code, report = practise("operator-error", tmp_path)
    assert (code, report["met"], report["lost"], report["rpo"]) == (1, False, 0, 0.0)
    assert (report["rto_target"], report["rpo_target"]) == (0.001, 0.0)
    assert report["rto"] > 0.001
    restored = report["steps"][-1][1]
    assert int(restored.rpartition(": ")[2].split()[0]) >= 30, restored


@pytest.mark.chaos
@pytest.mark.postgresql
def test_postgresql_is_restored_under_workers_that_live(tmp_path: Path) -> None:
    code, report = practise("ledger-restore", tmp_path, "--ledger", "postgresql", "--rto", "110", "--rpo", "60")
    assert (code, report["met"]) == (0, True), report
    restored = report["steps"][-1][1]
    assert "2 workers start anew" in restored or "3 workers start anew" in restored, restored
    # What was submitted before the backup is done, and some of what came after it is known to be lost.
    assert 0 < report["lost"] < report["accepted"]
    assert report["rpo"] > 0
