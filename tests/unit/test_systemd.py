"""The units of systemd: systemd itself finds nothing wrong with them, and their commands are those of the command line."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from perdure.settings.settings import Settings
from perdure_workers.cli.main import perdure
from support.cluster import PERDURE
from support.compose import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("*.*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]


def lines_of(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:
        # The command as it is installed here, and a user that there is: both are asked for.
        text = unit.read_text().replace("/opt/perdure/bin/perdure", str(PERDURE)).replace("User=perdure", "User=root")
        (tmp_path / unit.name.replace("@", "@normal")).write_text(text)
    files = list(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line or "perdure" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_commands_and_variables_are_perdure_s(unit: Path) -> None:
    [command] = lines_of(unit, "ExecStart")
    program, *arguments = shlex.split(command.replace("%i", "normal"))
    assert program == "/opt/perdure/bin/perdure"
    told = CliRunner().invoke(perdure, [*arguments, "--help"])
    assert told.exit_code == 0, told.output
    names = re.findall(r"PERDURE_(\w+)=", "\n".join(lines_of(unit, "Environment")))
    assert names
    assert {name.lower() for name in names} <= set(Settings.__struct_fields__)


def test_a_worker_may_drain_and_outlives_a_job_that_takes_too_much_memory() -> None:
    [worker] = [unit for unit in SERVICES if "worker" in unit.name]
    assert int(lines_of(worker, "TimeoutStopSec")[0]) > Settings().drain_timeout
    assert (lines_of(worker, "KillMode"), lines_of(worker, "OOMPolicy")) == (["mixed"], ["continue"])
