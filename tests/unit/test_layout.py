"""The source roots are folders, not packages: above all, none of them shadows the standard library's `platform`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKER_SIDE = ("celery.worker", "celery.apps", "celery.bootsteps", "perdure_workers", "perdure_tasks", "flower")


def run_python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("options", [(), ("-I",)], ids=["plain", "isolated"])
def test_import_platform_gives_the_standard_library(options: tuple[str, ...]) -> None:
    file = run_python(*options, "-c", "import platform; platform.system(); print(platform.__file__)")
    assert Path(file).name == "platform.py"
    assert not Path(file).is_relative_to(ROOT / "platform")


@pytest.mark.parametrize("source_root", ["platform", "workers", "tasks"])
def test_source_roots_are_not_packages(source_root: str) -> None:
    assert (ROOT / source_root).is_dir()
    assert not (ROOT / source_root / "__init__.py").exists()


def test_importing_the_library_loads_nothing_of_the_worker() -> None:
    loaded = run_python("-c", "import perdure, sys; print('\\n'.join(sys.modules))").split()
    worker_side = [name for name in loaded if any(name == m or name.startswith(f"{m}.") for m in WORKER_SIDE)]
    assert worker_side == []
