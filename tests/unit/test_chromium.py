"""Browser tests are not skipped where a browser could be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from support import chromium


@pytest.mark.parametrize(
    ("user", "apt", "said", "required"),
    [(0, True, "", True), (0, False, "", False), (1000, True, "", False), (1000, False, "required", True)],
)
def test_where_they_are_required(monkeypatch: pytest.MonkeyPatch, user: int, apt: bool, said: str, required: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if apt else None)
    monkeypatch.setenv("PERDURE_BROWSER_TESTS", said)
    assert chromium.is_required() is required


@pytest.mark.parametrize(("user", "command"), [(0, "apt-get"), (1000, "playwright")])
def test_what_is_installed(monkeypatch: pytest.MonkeyPatch, user: int, command: str) -> None:
    ran: list[list[str]] = []

    def run(arguments: list[str], **_options: Any) -> None:
        ran.append(arguments)

    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt-get" else None)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("TEST_CHROMIUM", raising=False)
    chromium._installed()
    assert all(command in arguments for arguments in ran)
    assert ran[-1][-1] == "chromium"
