"""A process' pulse: fresh, silent, of a machine that was started anew, of another host. Asking costs next to nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perdure_workers.recovery.pulse import PATIENCE, Pulse, beats


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "here")


def age_file(home: Path, name: str, seconds: float) -> None:
    (home / "pulses" / name).write_text(f"{time.monotonic() - seconds:020.3f} 77\n")


def test_a_process_beats_until_it_ends(tmp_path: Path) -> None:
    mine = Pulse(tmp_path, "normal")
    assert beats(tmp_path) == []
    for _ in range(2):
        mine.beat()
    [beat] = beats(tmp_path)
    assert (beat.name, beat.pid, beat.is_alive) == ("normal@here", os.getpid(), True)
    mine.end()
    mine.end()
    assert beats(tmp_path) == []


def test_a_beat_that_was_written_rounded_up_is_none_of_an_earlier_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0006)
    Pulse(tmp_path, "normal").beat()
    assert [beat.age for beat in beats(tmp_path)] == [0.0]


def test_one_that_is_silent_is_dead_or_frozen(tmp_path: Path) -> None:
    Pulse(tmp_path, "normal").beat()
    for seconds, alive in ((PATIENCE - 5, True), (PATIENCE + 1, False)):
        age_file(tmp_path, "normal@here", seconds)
        assert [beat.is_alive for beat in beats(tmp_path)] == [alive]


@pytest.mark.parametrize("content", ["", "nonsense", "1 2 3", "nan x"])
def test_a_file_that_cannot_be_read_is_no_sign_of_life(tmp_path: Path, content: str) -> None:
    Pulse(tmp_path, "normal").beat()
    (tmp_path / "pulses" / "normal@here").write_text(content)
    assert [beat.is_alive for beat in beats(tmp_path)] == [False]


def test_a_beat_from_before_the_machine_was_started_anew_counts_for_nothing(tmp_path: Path) -> None:
    Pulse(tmp_path, "normal").beat()
    age_file(tmp_path, "normal@here", -1000.0)
    [beat] = beats(tmp_path)
    assert (beat.age, beat.is_alive) == (None, False)


def test_processes_are_found_by_name_and_those_of_other_hosts_are_theirs(tmp_path: Path) -> None:
    for name in ("normal", "critical", "normal@there"):
        Pulse(tmp_path, name).beat()
    assert [beat.name for beat in beats(tmp_path)] == ["critical@here", "normal@here"]
    assert [beat.name for beat in beats(tmp_path, "normal")] == ["normal@here"]
    assert [beat.name for beat in beats(tmp_path, "normal@there")] == ["normal@there"]
    assert beats(tmp_path, "norm") == []


def test_a_folder_that_cannot_be_written_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Pulse(tmp_path / "file", "normal").beat()
    Pulse(tmp_path / "file", "normal").end()


def test_the_command_s_exit_code(tmp_path: Path) -> None:
    """It is told by its own host's name, so it runs as another process."""
    home = tmp_path / ".perdure"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perdure_workers", "health", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    (home / "pulses").mkdir(parents=True)
    assert run("--worker").returncode == 1
    host = os.uname().nodename
    Pulse(home, f"normal@{host}").beat()
    for arguments in (["--worker"], ["--worker", "normal"], ["--worker", f"normal@{host}"]):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert "lives" in done.stdout
    assert '"alive": true' in run("--worker", "--json").stdout
    missing = run("--worker", "critical")
    assert missing.returncode == 1
    assert f"normal@{host}" in missing.stderr
    age_file(home, f"normal@{host}", PATIENCE + 60)
    frozen = run("--worker", "normal")
    assert frozen.returncode == 1
    assert "dead or frozen" in frozen.stdout


def test_asking_loads_next_to_nothing(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['perdure', 'health', '--worker']\nfrom perdure_workers.cli import main\n"
    script += "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*{name.partition('.')[0] for name in sys.modules})"
    (tmp_path / ".perdure").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & {"pydantic", "sqlalchemy", "celery", "kombu", "redis", "perdure_tasks", "rich", "psutil"} == set()
