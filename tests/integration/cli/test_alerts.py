"""``perdure alerts`` and ``perdure slo`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure_workers.cli.loading import load_app
from support.cli import Run

APP = """
from perdure import Perdure

app = Perdure(alerts={"notifiers": {
    "log": {"kind": "log"}, "chat": {"kind": "slack", "url": "http://127.0.0.1:1/SECRETPATH"},
}})

@app.job(name="shop.pay")
def pay() -> None: ...

app.alerts.rule("hot", lambda: {"oven": 30.0}, above=20, severity="critical", todo="Open a window.")
app.slo("paying", task="shop.pay", within=30, target=0.99)
"""


@pytest.fixture
def alerts(folder: Path, perdure: Run) -> Run:
    (folder / "cli_alerts.py").write_text(APP)
    return lambda *arguments, **options: perdure(*arguments, app="cli_alerts:app", **options)


def test_alerts_from_the_command_line(folder: Path, alerts: Run) -> None:
    assert "nobody has looked for alerts yet" in alerts("alerts", "list").err
    load_app("cli_alerts:app", str(folder)).alerts.look(always=True)
    [listed] = alerts("alerts", "list", "--json").json
    assert {"name", "state", "severity", "since", "message", "labels"} <= listed.keys()
    assert (listed["name"], listed["state"], listed["severity"]) == ("hot", "firing", "critical")
    shown = alerts("alerts", "show", "hot").out
    assert "Open a window." in shown
    assert "to be sent, 0 tries" in shown
    made = alerts("alerts", "silence", "ho*", "--for", "60", "--label", "of=oven", "--reason", "known", "--json").json
    assert [one["reason"] for one in alerts("alerts", "silences", "--json").json] == ["known"]
    assert alerts("alerts", "unsilence", made["id"], "--json").json["ended"] is True
    assert "Did you mean 'hot'" in alerts("alerts", "show", "hit").err
    assert "high_failure_rate" in {rule["name"] for rule in alerts("alerts", "rules", "--json").json}


def test_a_notifier_that_does_not_take_it_is_named(alerts: Run) -> None:
    tried = alerts("alerts", "test", "--json")
    assert tried.code == 1
    assert {one["notifier"]: one["sent"] for one in tried.json} == {"log": True, "chat": False}
    assert "SECRETPATH" not in tried.out + tried.err


def test_objectives(alerts: Run) -> None:
    [state] = alerts("slo", "--json").json
    assert (state["name"], state["attained"], state["budget_left"]) == ("paying", 1.0, 1.0)
    assert "99.000% within 30 s" in alerts("slo").out
