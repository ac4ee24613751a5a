"""Whom root runs PostgreSQL as, on machines that lack this or that."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perdure_workers.embedded import unprivileged
from perdure_workers.embedded.errors import ServerStartFailed
from perdure_workers.embedded.unprivileged import server_account


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The accounts of a machine on which we are root."""
    there: dict[str, Any] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", there.__getitem__)
    return there


def entry(uid: int) -> Any:
    return SimpleNamespace(pw_uid=uid, pw_gid=uid, pw_dir="/")


def test_the_account_is_made_though_the_path_has_no_sbin(
    accounts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    useradd = tmp_path / "useradd"
    useradd.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    useradd.chmod(0o755)
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    accounts["nobody"] = entry(65534)
    account = server_account()
    assert (tmp_path / "asked").read_text().split() == ["--system", "--user-group", "pgserver"]
    assert account is not None
    assert account.uid == 65534, "it said yes and made none"


def test_an_account_that_is_there_serves_where_none_can_be_made(
    accounts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerStartFailed, match=r"Make the account, or run this as another user"):
        server_account()
    for name, uid in (("nobody", 65534), ("postgres", 70), ("pgserver", 999)):
        accounts[name] = entry(uid)
        account = server_account()
        assert account is not None
        assert account.uid == uid
