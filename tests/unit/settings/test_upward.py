"""A home folder and a file of settings are found from below, as git finds its repository."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.errors import LedgerMissing
from perdure.settings.settings import load_settings


@pytest.fixture(autouse=True)
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, below the one that holds what is looked for."""
    for name in [name for name in os.environ if name.startswith("PERDURE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "src" / "shop"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_the_nearest_home_above_counts(tmp_path: Path, below: Path) -> None:
    assert load_settings().home_folder.path == below / ".perdure"
    (tmp_path / ".perdure").mkdir()
    assert load_settings().effective_ledger_url == f"sqlite:///{tmp_path}/.perdure/ledger.db"
    assert Perdure().settings.effective_broker_url == load_settings(home=tmp_path / ".perdure").effective_broker_url
    (below.parent / ".perdure").mkdir()
    assert load_settings().home_folder.path == below.parent / ".perdure"
    (below / ".perdure").mkdir()
    assert load_settings().home_folder.path == below / ".perdure"


def test_whatever_names_a_home_is_stronger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".perdure").mkdir()
    monkeypatch.setenv("PERDURE_HOME", "/elsewhere")
    assert load_settings().home_folder.path == Path("/elsewhere")
    assert load_settings(home="/named").home_folder.path == Path("/named")


def test_what_everybody_may_put_there_does_not_count(tmp_path: Path, below: Path) -> None:
    (tmp_path / ".perdure").mkdir()
    (tmp_path / "perdure.toml").write_text("max_crashes = 9")
    tmp_path.chmod(0o777)
    assert load_settings().home_folder.path == below / ".perdure"
    assert load_settings().max_crashes == 3
    tmp_path.chmod(0o755)
    assert load_settings().home_folder.path == tmp_path / ".perdure"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_belongs_to_somebody_else_does_not_count(tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".perdure").mkdir()
    os.chown(tmp_path / ".perdure", 12345, 12345)
    assert load_settings().home_folder.path == below / ".perdure"


def test_paths_in_a_file_begin_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "perdure.toml").write_text('home = "state"\nledger_url = "sqlite:///data/jobs.db"\n')
    assert load_settings().home_folder.path == tmp_path / "state"
    assert load_settings().effective_ledger_url == f"sqlite:///{tmp_path}/data/jobs.db"
    (tmp_path / "perdure.toml").write_text('home = "/state"\nledger_url = "sqlite:////data/jobs.db"\n')
    assert load_settings().home_folder.path == Path("/state")
    assert load_settings().effective_ledger_url == "sqlite:////data/jobs.db"


@pytest.mark.slow
def test_reading_makes_nothing(below: Path) -> None:
    app = Perdure()
    for read in (
        app.jobs.list,
        lambda: app.jobs.count(by="state"),
        app.dead_letters.list,
        app.workers.list,
        app.bulkheads.list,
    ):
        with pytest.raises(LedgerMissing, match=r"nothing was submitted.*perdure up.*PERDURE_HOME"):
            read()
    assert app.health().status == "unhealthy"
    assert not list(below.iterdir())


def test_a_ledger_that_is_named_is_made_by_no_reader_either(below: Path) -> None:
    app = Perdure(ledger_url="sqlite:///named/jobs.db")
    with pytest.raises(LedgerMissing, match=r"named/jobs\.db"):
        app.jobs.get("0")
    assert not list(below.iterdir())


def test_who_submits_where_no_platform_was_started_is_told_once(below: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = Perdure(bulkheads={"normal": {"max_depth": 5}})

    @app.job
    def work() -> None: ...

    work.submit()
    work.submit()
    told = [record for record in caplog.records if "no platform was ever started on" in record.message]
    assert [(record.levelno, str(below / ".perdure") in record.message) for record in told] == [(logging.WARNING, True)]
    assert app.jobs.count(by="state") == {"queued": 2}


def test_nobody_is_told_where_one_was_or_where_the_ledger_is_named(below: Path, caplog: pytest.LogCaptureFixture) -> None:
    (below / ".perdure").mkdir()
    (below / ".perdure" / "up.lock").touch()
    for app in (Perdure(), Perdure(ledger_url="sqlite:///jobs.db")):
        app.job(name="work")(lambda: None).submit()
    assert "no platform was ever started" not in caplog.text
