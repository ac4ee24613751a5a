"""A virtual environment for perdure and for each peer, made once by uv in ``.bench/`` of the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".bench"
PEERS = ROOT / "benchmarks" / "peers"
#: Of perdure as it is measured: workers on both databases, and ``perdure up``.
EXTRAS = ("worker", "postgres", "embedded")
SOURCES = (ROOT / "platform", ROOT / "workers", ROOT / "tasks", PEERS)
INSTALL_TIMEOUT_SECONDS = 600


class CannotInstall(Exception):
    """An environment could not be made; the message says why."""


def environment(name: str | None) -> Path:
    """Return the folder of commands of the environment with ``requirements/NAME.txt``; of perdure's own for None.

    Raises:
        CannotInstall: there is no uv, or it failed.
    """
    wanted = PEERS / "requirements" / f"{name}.txt" if name else ROOT / "uv.lock"
    mark = hashlib.sha256(wanted.read_bytes() + sys.version.encode() + b"compiled").hexdigest()[:12]
    folder = CACHE / f"{name or 'perdure'}-{mark}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if name:
            _uv("venv", "--python", sys.executable, str(folder))
            _uv("pip", "sync", "--compile-bytecode", "--python", str(folder / "bin" / "python"), str(wanted))
        else:
            # What a user installs: without what only tests need, some of which its dependencies load where they find it.
            extras = [f"--extra={extra}" for extra in EXTRAS]
            _uv("sync", "--frozen", "--no-dev", *extras, "--python", sys.executable, UV_PROJECT_ENVIRONMENT=str(folder))
        (folder / "complete").touch()
    if name is None:
        _compile_own(folder)
    return folder / "bin"


@cache
def _compile_own(folder: Path) -> None:
    """Compile perdure and its environment, as an installation is: else each process that starts would do that first."""
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "compileall", "-q", folder / "lib", *SOURCES], check=False)


def inherited() -> dict[str, str]:
    """Return the environment that measured processes get more of: this one, where compiled files may be written."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def versions() -> dict[str, str]:
    """Return the pinned version of each peer, by its package."""
    pins: dict[str, str] = {}
    for path in sorted((PEERS / "requirements").glob("*.txt")):
        lines = (line.partition("==") for line in path.read_text().splitlines())
        pins |= {package: version for package, _, version in lines if package == path.stem}
    return pins


def _uv(*arguments: str, **environment: str) -> None:
    own = ROOT / ".tools" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise CannotInstall("there is no uv; `make bench` brings it")
    settings = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"} | os.environ | environment
    done = subprocess.run(
        [uv, *arguments],
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_SECONDS,
        check=False,
        env=settings,
        cwd=ROOT,
    )
    if done.returncode:
        said = done.stderr.strip().replace(f"{ROOT}/", "").splitlines()
        raise CannotInstall(said[-1] if said else f"uv ended with {done.returncode}")
