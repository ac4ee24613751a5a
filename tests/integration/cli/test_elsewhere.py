"""Commands in a folder where no platform is: readers make nothing, and a submit says that nobody would run the job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from perdure.errors import LedgerMissing, NotStarted
from perdure_workers.cli.main import perdure as command

MODULE = "from perdure import Perdure\n\napp = Perdure()\n\n@app.job(name='work')\ndef work() -> None: ...\n"


@pytest.fixture
def run(clean_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "elsewhere.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "elsewhere", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *arguments: CliRunner().invoke(command, list(arguments))


READERS = [
    ("jobs", "list"),
    ("jobs", "show", "0"),
    ("dead", "list"),
    ("dead", "groups"),
    ("workers", "list"),
    ("bulkheads", "list"),
    ("why", "0"),
]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_reader_makes_nothing(run: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.exit_code != 0
    assert isinstance(ended.exception, LedgerMissing)
    assert not list((tmp_path / "here").iterdir())


SPEAKERS = [("status",), ("db", "check"), ("health",), ("breakers", "list"), ("jobs", "tasks")]


@pytest.mark.parametrize("arguments", SPEAKERS, ids=" ".join)
def test_nor_does_one_that_can_say_something(
    run: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    run(*arguments)
    assert not list((tmp_path / "here").iterdir())


def test_a_submit_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    ended = run("-A", "elsewhere:app", "submit", "work")
    assert isinstance(ended.exception, NotStarted)
    assert "perdure up" in str(ended.exception)
    assert "PERDURE_HOME" in str(ended.exception)
    assert not list((tmp_path / "here").iterdir())


NAMED: dict[str, dict[str, str]] = {
    "option": {"options": "--home .perdure"},
    "variable": {"variable": ".perdure"},
    "file": {"file": 'home = ".perdure"'},
    "argument": {"argument": "home='.perdure'"},
}


@pytest.mark.parametrize("by", NAMED)
def test_a_home_that_somebody_named_is_taken_as_it_is_called(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    named = NAMED[by]
    monkeypatch.setenv("PERDURE_HOME", named.get("variable", ""))  # and so put back afterwards: --home sets it
    (tmp_path / "here" / "perdure.toml").write_text(named.get("file", ""))
    (tmp_path / "elsewhere.py").write_text(MODULE.replace("Perdure()", f"Perdure({named.get('argument', '')})"))
    ended = run(*named.get("options", "").split(), "-A", "elsewhere:app", "submit", "work")
    assert ended.exit_code == 0, ended.exception
    assert (tmp_path / "here" / ".perdure" / "ledger.db").exists()


def test_a_submit_from_below_reaches_the_platform(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / ".perdure").mkdir()
    (tmp_path / ".perdure" / "up.lock").touch()
    ended = run("-A", "elsewhere:app", "submit", "work")
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / ".perdure" / "ledger.db").exists()
    assert not list((tmp_path / "here").iterdir())
