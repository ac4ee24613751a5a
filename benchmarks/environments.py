"""A virtual environment for each peer, made once by uv in ``.bench/`` of the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".bench"
PEERS = ROOT / "benchmarks" / "peers"
SOURCES = (ROOT / "platform", ROOT / "workers", ROOT / "tasks", PEERS)
INSTALL_TIMEOUT_SECONDS = 600


class CannotInstall(Exception):
    """An environment could not be made; the message says why."""


def environment(name: str | None) -> Path:
    """Return the folder of commands of the environment with ``requirements/NAME.txt``; of this one for None.

    Raises:
        CannotInstall: there is no uv, or it failed.
    """
    if name is None:
        compile_own()
        return Path(sys.executable).parent
    wanted = PEERS / "requirements" / f"{name}.txt"
    mark = hashlib.sha256(wanted.read_bytes() + sys.version.encode() + b"compiled").hexdigest()[:12]
    folder = CACHE / f"{name}-{mark}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--compile-bytecode", "--python", str(folder / "bin" / "python"), str(wanted))
        (folder / "complete").touch()
    return folder / "bin"


@cache
def compile_own() -> None:
    """Compile this environment, as an installation is: else each process that starts would do that first."""
    packages = sysconfig.get_path("purelib")
    subprocess.run([sys.executable, "-m", "compileall", "-q", packages, *map(str, SOURCES)], check=False)


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


def _uv(*arguments: str) -> None:
    own = ROOT / ".tools" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise CannotInstall("there is no uv; `make bench` brings it")
    settings = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"} | os.environ
    done = subprocess.run(
        [uv, *arguments], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False, env=settings
    )
    if done.returncode:
        said = done.stderr.strip().replace(f"{ROOT}/", "").splitlines()
        raise CannotInstall(said[-1] if said else f"uv ended with {done.returncode}")
