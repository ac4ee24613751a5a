"""A Chromium for browser tests: the system's, or one that is installed where that is allowed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Seconds that an installation may take.
INSTALLATION = 600


def find() -> str | None:
    """Return the system's Chromium: that of PERDURE_CHROMIUM, or one on PATH."""
    named = os.environ.get("PERDURE_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, installing one if there is none."""
    with _one_at_a_time():
        path = find() or _installed()
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def _installed() -> str | None:
    """Install Chromium and return its path; None means that Playwright knows where it put it."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "chromium"]):
            subprocess.run(command, check=True, timeout=INSTALLATION, env=environment, stdout=subprocess.DEVNULL)
        return find()
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True, timeout=INSTALLATION)
    return None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep processes of one test run from installing side by side."""
    with (Path(tempfile.gettempdir()) / "perdure-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
