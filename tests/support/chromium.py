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

from playwright.sync_api import Browser, Error, Playwright

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
INSTALLATION = 90


class NoChromium(Exception):
    """There is none on this machine, and none can be installed."""


def find() -> str | None:
    """Return the system's Chromium: that of TEST_CHROMIUM, or one on PATH."""
    named = os.environ.get("TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, installing one for this user if there is none.

    Raises:
        NoChromium: There is none, and it cannot be installed or started.
    """
    try:
        with _one_at_a_time():
            path = find()
            if path is None:
                install = [sys.executable, "-m", "playwright", "install", "chromium"]
                subprocess.run(install, check=True, timeout=INSTALLATION, stdout=subprocess.DEVNULL)
        return playwright.chromium.launch(executable_path=path, args=FLAGS)
    except (subprocess.SubprocessError, OSError, Error) as error:
        raise NoChromium(f"no {' or '.join(NAMES)} on PATH that starts, and none can be installed: {error}") from error


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep processes of one test run from installing side by side."""
    with (Path(tempfile.gettempdir()) / "perdure-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
