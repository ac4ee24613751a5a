"""Logs stay small while their writers have them open."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure_workers.up.rotation import rotate_all


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def test_a_log_that_is_written_to_is_rotated(logs: Path) -> None:
    with (logs / "normal.log").open("ab", buffering=0) as log:
        for part in range(1, 6):
            log.write(b"%d" % part * 100)
            assert rotate_all(logs.parent, largest=50, kept=3) == [logs / "normal.log"]
        log.write(b"now")
    assert rotate_all(logs.parent, largest=50, kept=3) == []
    texts = {file.name: file.read_text() for file in logs.iterdir()}
    assert texts == {"normal.log": "now", "normal.log.1": "5" * 100, "normal.log.2": "4" * 100, "normal.log.3": "3" * 100}


def test_each_log_is_judged_by_its_own_size(logs: Path) -> None:
    (logs / "normal.log").write_text("small")
    (logs / "up.log").write_text("large" * 20)
    (logs.parent / "redis").mkdir()
    (logs.parent / "redis" / "redis.log").write_text("large" * 20)
    assert rotate_all(logs.parent, largest=50) == [logs / "up.log", logs.parent / "redis" / "redis.log"]
    assert (logs / "normal.log").read_text() == "small"


def test_what_cannot_be_rotated_stays_and_loses_nothing(logs: Path) -> None:
    (logs / "normal.log").write_text("large" * 20)
    (logs / "normal.log.1").mkdir()
    assert rotate_all(logs.parent, largest=50, kept=1) == []
    assert (logs / "normal.log").read_text() == "large" * 20
    assert sorted(file.name for file in logs.iterdir()) == ["normal.log", "normal.log.1"]


def test_a_home_without_logs(tmp_path: Path) -> None:
    assert rotate_all(tmp_path) == []
