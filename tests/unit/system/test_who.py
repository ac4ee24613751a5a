"""A process may run as a number without a name, as containers do."""

from __future__ import annotations

import getpass

import pytest

from perdure.system.who import whoami


def test_who_has_a_name_is_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert whoami() == "ann"


@pytest.mark.parametrize(
    "error", [KeyError("getpwuid(): uid not found: 54321"), OSError("No username set in the environment")]
)
def test_who_has_none_is_called_by_the_number(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def unknown() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    assert whoami() == "uid:54321"
