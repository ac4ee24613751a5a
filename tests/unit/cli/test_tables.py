"""Tables on a narrow terminal: what people read at a glance or copy stays whole, and long texts give way."""

from __future__ import annotations

import pytest

from perdure_workers.cli.output import print_table

ID = "01a22365-4c4c-70b0-a58b-ba1abd3d8834"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("narrow")
def test_the_longest_column_gives_way(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("id", "task", "bulkhead", "state", "attempt", "submitted", "error")
    print_table(columns, [(ID, "shop.charge", "background", "succeeded", 1, "3.9 min ago", "the bank said no " * 9)])
    printed = capsys.readouterr().out
    assert {ID[-12:], "shop.charge", "background", "succeeded", "attempt", "submitted"} <= set(printed.split())
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.usefixtures("narrow")
def test_ids_and_fingerprints_are_whole_where_even_names_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("id", "task", "reason", "error", "fingerprint", "status", "since")
    row = (ID, "shop.charges", "no_quorum", "ConnectionError", "55263c0774734d14", "discarded", "2.1 min ago")
    print_table(columns, [row] * 3)
    printed = capsys.readouterr().out
    assert printed.count(ID[-12:]) == printed.count("55263c0774734d14") == 3
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.usefixtures("narrow")
def test_columns_without_anything_are_left_out_where_there_is_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("name", "queue", "waiting", "oldest_wait", "concurrency", "limit", "rate", "max_depth", "note")
    row = ("background", "perdure.background", 0, 1.5, 3, None, None, None, "x" * 30)
    print_table(names, [row])
    shown = capsys.readouterr().out.split()
    assert {"background", "concurrency"} <= set(shown)
    assert "limit" not in shown
    print_table(names[-4:], [row[-4:]])
    assert "limit" in capsys.readouterr().out.split()
