"""The score of a task, bulkhead or service is the part that succeeded lately, and 1 while too few say anything."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from perdure import Perdure
from perdure.manage.scores import Score, score_of
from support.ledgers import DIE, LOSE, RETRY, SUCCEED, running

ENOUGH = 10


@pytest.mark.parametrize(
    ("calls", "failures", "score"), [(0, 0, 1.0), (9, 9, 1.0), (10, 10, 0.0), (10, 1, 0.9), (1000, 1, 0.999)]
)
def test_the_part_that_succeeded(calls: int, failures: int, score: float) -> None:
    assert score_of(calls, failures, ENOUGH) == pytest.approx(score)


def named(app: Perdure) -> dict[tuple[str, str], Score]:
    return {(one.kind, one.name): one for one in app.scores()}


def test_tasks_and_bulkheads(app: Perdure) -> None:
    app.ledger.upgrade()
    assert app.scores() == []
    for settlement in [SUCCEED] * 8 + [RETRY, DIE, LOSE]:
        app.ledger.jobs.settle(running(app.ledger, task="pay"), settlement)
    for _ in range(11):
        app.ledger.jobs.settle(running(app.ledger, task="mail"), SUCCEED)
    app.ledger.jobs.settle(running(app.ledger, task="rare", bulkhead="critical"), DIE)
    found = named(app)
    assert found["task", "pay"] == Score("task", "pay", 11, 3, 1 - 3 / 11)
    assert found["task", "mail"].score == 1.0
    assert found["task", "rare"] == Score("task", "rare", 1, 1, 1.0)
    assert found["bulkhead", "normal"] == Score("bulkhead", "normal", 22, 3, 1 - 3 / 22)
    assert [one.name for one in app.scores()][:2] == ["pay", "normal"]  # the worst first

    older = text("UPDATE perdure_attempts SET finished_at = finished_at - 301, started_at = started_at - 301")
    app.ledger.transact(lambda c: c.execute(older))
    assert app.scores() == []


def test_services(sqlite_app: Perdure) -> None:
    def down() -> None:
        raise ConnectionError("down")

    mail = sqlite_app.service("mail", default=None)
    for _ in range(9):
        mail.call(lambda: 1)
    mail.call(down)
    found = named(sqlite_app)["service", "mail"]
    assert found.failures >= 1
    assert found.score == pytest.approx(1 - found.failures / found.calls)


def test_the_command_shows_them(sqlite_app: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from perdure_workers.cli.main import perdure

    for _ in range(ENOUGH):
        sqlite_app.ledger.jobs.settle(running(sqlite_app.ledger, task="pay"), DIE)
    for name in ("ledger_url", "broker_url", "home"):
        monkeypatch.setenv(f"PERDURE_{name.upper()}", str(getattr(sqlite_app.settings, name)))
    shown = CliRunner().invoke(perdure, ["health"]).output
    assert "lately" in shown
    assert "0.000" in shown
    scores = json.loads(CliRunner().invoke(perdure, ["health", "--json"]).output)["scores"]
    assert {"kind": "task", "name": "pay", "calls": 10, "failures": 10, "score": 0.0} in scores
