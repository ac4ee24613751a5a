"""A Chromium for browser tests: the system's, or one that is installed where that is allowed.

Where tests run as root on a system with apt, the distribution's package is installed; elsewhere playwright's own one, for
this user. Tests that find none are skipped, but not where one could be installed, nor with
``PERDURE_BROWSER_TESTS=required``.
"""

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
from typing import Any

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
#: Seconds that an installation may take: of playwright's, and of the distribution's package with all that it needs.
INSTALLATION, PACKAGE = 90, 300


class NoChromium(Exception):
    """There is none on this machine, and none can be installed."""


def find() -> str | None:
    """Return the system's Chromium: that of TEST_CHROMIUM, or one on PATH."""
    named = os.environ.get("TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def is_required() -> bool:
    """Return whether browser tests must not be skipped: somebody says so, or a browser can be installed here."""
    return os.environ.get("PERDURE_BROWSER_TESTS") == "required" or may_install_packages()


def may_install_packages() -> bool:
    """Return whether the distribution's package can be installed: by root, with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def launch(playwright: Playwright) -> Browser:
    """Start Chromium, installing one if there is none.

    Raises:
        NoChromium: There is none, and it cannot be installed or started.
    """
    try:
        with _one_at_a_time():
            path = find() or _installed()
        return playwright.chromium.launch(executable_path=path, args=FLAGS)
    except (subprocess.SubprocessError, OSError, Error) as error:
        raise NoChromium(f"no {' or '.join(NAMES)} on PATH that starts, and none can be installed: {error}") from error


def _installed() -> str | None:
    """Install a Chromium and return its path; None for the one that playwright finds itself."""
    if may_install_packages():
        quiet: dict[str, Any] = {"check": True, "timeout": PACKAGE, "stdout": subprocess.DEVNULL}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], env=environment, **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "chromium"], env=environment, **quiet)
        return find()
    install = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(install, check=True, timeout=INSTALLATION, stdout=subprocess.DEVNULL)
    return None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep processes of one test run from installing side by side."""
    with (Path(tempfile.gettempdir()) / "perdure-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
