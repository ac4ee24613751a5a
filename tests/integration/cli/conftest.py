"""A project folder with an application and an embedded SQLite ledger, and the command line in it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from perdure.ledger import Ledger
from perdure_workers.cli import main
from support.cli import Ended, Run

APP = """
from perdure import Perdure

app = Perdure()

@app.job(name="shop.add", bulkhead="critical", retry="fast", timeout=30)
def add(a: int, b: int = 0) -> int:
    return a + b
"""


@pytest.fixture
def folder(
    migrated_sqlite: Path, redis_url: str, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project folder: an application's module, and a home with a ledger."""
    (tmp_path / "cli_shop.py").write_text(APP)
    (tmp_path / ".perdure").mkdir()
    shutil.copy(migrated_sqlite, tmp_path / ".perdure" / "ledger.db")
    (tmp_path / ".perdure" / "up.lock").touch()
    monkeypatch.setenv("PERDURE_BROKER_URL", redis_url)
    monkeypatch.setenv("PERDURE_HOME", ".perdure")  # and so put back afterwards: --home sets it
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    monkeypatch.delitem(sys.modules, "cli_shop", raising=False)
    return tmp_path


@pytest.fixture
def perdure(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process, as the console script does."""

    def run(*arguments: str, app: str | None = "cli_shop:app", columns: int = 200) -> Ended:
        capsys.readouterr()
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["perdure", *(["-A", app] if app else []), *arguments])
        for module in [name for name in sys.modules if name.startswith("cli_")]:
            monkeypatch.delitem(sys.modules, module)  # applications of earlier commands and tests
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    return Ledger(f"sqlite:///{folder / '.perdure' / 'ledger.db'}")
