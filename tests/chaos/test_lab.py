"""``perdure chaos``: a scenario holds and is reported, and builds that are broken on purpose are found out.

The broken builds take a minute each: ``make chaos`` runs them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa

from perdure_workers.chaos.cluster import APP
from perdure_workers.chaos.jobs import chaos_app
from perdure_workers.chaos.scenario import scenarios
from support.cluster import Cluster

HERE = Path(__file__).parent

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def run_lab(folder: Path, scenario: str, *options: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """Run a scenario; return the exit code, the report and what was told."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    command = [sys.executable, "-m", "perdure_workers", "chaos", "run", scenario, "--report", str(folder), "--seed", "1"]
    done = subprocess.run(
        [*command, *options], cwd=HERE, env=own | environment, capture_output=True, text=True, timeout=280, check=False
    )
    report = folder / "report.json"
    assert report.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(report.read_text()), done.stdout + done.stderr


def test_a_scenario_holds_and_is_reported(tmp_path: Path) -> None:
    code, report, told = run_lab(tmp_path, "child-killed", "--duration", "2")

    assert (code, report["verdict"]) == (0, "held"), told
    assert [fault["fault"] for fault in report["faults"]] == ["kill child"] * 3
    assert {report["invariants"][number] for number in ("1", "2", "4", "7", "8", "9", "10", "11")} == {"held"}
    [scenario] = report["scenarios"]
    assert scenario["counts"]["crashes"] > 0
    assert scenario["counts"]["unfinished"] == 0
    assert report["recovery"]["unrecovered"] == 0
    assert scenario["command"] == "perdure chaos run child-killed --duration 2 --seed 1 --ledger sqlite"
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert "src=" not in page
    assert len(ET.parse(tmp_path / "junit.xml").getroot().findall("testsuite/testcase")) == 11


def test_a_running_platform_that_allows_it_is_broken(tmp_path: Path, sqlite_url: str, redis_url: str) -> None:
    cluster = Cluster(chaos_app, APP, HERE, tmp_path, sqlite_url, redis_url, {"faults_allowed": "1"})
    try:
        doomed = cluster.app.task("chaos.doomed")
        of_before = [doomed.options(delay=seconds).submit(f"of-before-{seconds}") for seconds in range(12)]
        cluster.worker("w1")
        cluster.worker("calm", "critical", 1)
        environment = cluster.environment()
        code, report, told = run_lab(tmp_path, "child-killed", "-A", APP, "--running", "--duration", "2", **environment)
    finally:
        cluster.close()

    assert (code, report["verdict"]) == (0, "held"), told
    [scenario] = report["scenarios"]
    assert scenario["command"] == "perdure chaos run child-killed --duration 2 --seed 1 --running"
    assert [fault["fault"] for fault in report["faults"]] == ["kill child"] * 3
    assert all(fault["told"].removeprefix("child ") for fault in report["faults"])  # each hit somebody
    assert scenario["counts"]["dead"] == len([line for line in lines_of(tmp_path) if "doomed" in line])
    assert of_before[0].refresh().state == "dead"
    assert "chaos_paid" not in sa.inspect(sa.create_engine(sqlite_url)).get_table_names()


def lines_of(folder: Path) -> list[str]:
    return (folder / "child-killed" / "submissions.jsonl").read_text().splitlines()


@pytest.mark.skipif("CHAOS_BROKEN_BUILDS" not in os.environ, reason="a minute each: `make chaos` runs them")
@pytest.mark.parametrize(
    ("build", "scenario", "broken"),
    [
        ("no_fence_check", "lease-lost", {"2", "4"}),
        ("no_crash_count", "poison-pills", {"11"}),
        ("no_rescue", "child-killed", {"1"}),
        ("no_checkpoint", "child-killed", {"4"}),
        ("burned_retry", "child-killed", {"7"}),
        ("effects_alone", "child-killed", {"3"}),
        ("no_bulkheads", "thundering-herd", {"5"}),
        ("no_breaker", "service-down", {"6"}),
        ("no_return", "postgres-restarted", {"8"}),
        ("messages_choose", "forged-messages", {"9"}),
        ("blurred_arguments", "child-killed", {"10"}),
    ],
)
def test_a_broken_build_is_found_out(tmp_path: Path, build: str, scenario: str, broken: set[str]) -> None:
    ledger = scenarios()[scenario].ledgers[0]
    options = ("-A", "broken_builds", "--duration", "15", "--ledger", ledger)
    code, report, told = run_lab(tmp_path, scenario, *options, BROKEN_BUILD=build)

    assert (code, report["verdict"]) == (1, "broken"), told
    assert broken & {number for number, verdict in report["invariants"].items() if verdict == "broken"}, told
