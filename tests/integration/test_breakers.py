"""Breakers and services of an application from ``perdure.toml``, and operators' commands on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.resilience import keyed
from perdure.resilience.breaker.events import CircuitOpen
from perdure.resilience.limits.rate_limit import RateLimited
from perdure.resilience.service.timeouts import OperationTimeout
from perdure_workers.cli.main import perdure as command

TOML = """
[resilience.services.payments]
timeout = 0.2
retry = { max_retries = 1, base = 0.01 }
breaker = { failure_threshold = 2, recovery_timeout = 30, expected = ["ConnectionError", "TimeoutError"] }
rate = { rate = 0.01, burst = 8 }

[resilience.services.rates]
fallback = { max_age = 3600 }

[resilience.breakers.mail]
recovery_timeout = 20
"""

MODULE = """
from perdure import Perdure

app = Perdure()

@app.job(name="pay", breaker="payments")
def pay() -> None: ...
"""


@pytest.fixture
def app(
    migrated_url: str, redis_url: str, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Perdure:
    """An application that is configured by a file alone."""
    head = f'ledger_url = "{migrated_url}"\nbroker_url = "{redis_url}"\nhome = "home"\n'
    (tmp_path / "perdure.toml").write_text(head + TOML)
    (tmp_path / "toml_shop.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toml_shop", raising=False)
    import toml_shop  # type: ignore[import-not-found]

    made: Perdure = toml_shop.app
    return made


@pytest.fixture
def breakers(app: Perdure) -> Callable[..., str]:
    """Run ``perdure breakers ...`` and return what it prints."""

    def run(*arguments: str) -> str:
        ended = CliRunner(env={"COLUMNS": "200"}).invoke(command, ["-A", "toml_shop:app", "breakers", *arguments])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    return run


def refuse() -> None:
    raise ConnectionError("no answer")


def test_a_service_is_composed_as_the_file_says(app: Perdure) -> None:
    payments, never = app.service("payments"), Event()
    tried: list[int] = []

    def fail_once() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise ConnectionError("no answer")
        return "paid"

    assert payments.call(fail_once) == "paid"  # the retry
    assert app.breakers["payments"].state == "closed"
    with pytest.raises(OperationTimeout):
        payments.call(never.wait, 5)
    never.set()
    with pytest.raises(ConnectionError):
        payments.call(refuse)
    with pytest.raises(CircuitOpen):
        payments.call(fail_once)
    app.breakers["payments"].reset()

    def use_up() -> None:
        for _ in range(8):
            payments.call(str)

    with pytest.raises(RateLimited):
        use_up()
    assert app.breakers["payments"].config.recovery_timeout == 30
    assert app.breakers["mail"].config.recovery_timeout == 20
    assert app.breakers["other"].config.recovery_timeout == 60


def test_the_last_good_value_serves(app: Perdure) -> None:
    answers: list[dict[str, int]] = [{"EUR": 1}]
    rates = app.service("rates", default={})
    assert rates.call(keyed("all", answers.pop)) == {"EUR": 1}
    served = rates.serve(keyed("all", answers.pop))
    assert (served.value, served.level) == ({"EUR": 1}, "cached")
    nobody: Any = list[int]().pop
    assert rates.call(nobody, 1) == {}


def test_a_wrong_setting_names_itself(app: Perdure, tmp_path: Path) -> None:
    (tmp_path / "perdure.toml").write_text("[resilience.services.payments]\nbraker = true\n")
    with pytest.raises(SettingsError, match=r"resilience\.services\.payments\.braker is no setting.*breaker"):
        Perdure()


def test_operators_open_close_list_and_reset(app: Perdure, breakers: Callable[..., str]) -> None:
    def listed() -> dict[str, Any]:
        return {each["name"]: each for each in json.loads(breakers("list", "--json"))}

    assert {name: each["state"] for name, each in listed().items()} == {
        "mail": "closed",
        "payments": "closed",
        "rates": "closed",
    }
    assert breakers("open", "payments", "--for", "60", "--reason", "maintenance").strip() == "payments is open"
    with pytest.raises(CircuitOpen):
        app.breakers["payments"].call(str)
    override = listed()["payments"]["override"]
    assert (override["kind"], override["reason"]) == ("open", "maintenance")
    assert override["by"].startswith("cli:")
    assert "maintenance" in breakers("list")
    job = app.task("pay").submit()
    assert app.jobs.why(job.id)[-1].code == "breaker"

    breakers("close", "payments", "--reason", "we know better")
    for _ in range(3):
        with pytest.raises(ConnectionError):
            app.breakers["payments"].call(refuse)
    assert app.breakers["payments"].state == "closed"
    assert json.loads(breakers("reset", "payments", "--json"))["override"] is None
    assert [change.reason for change in app.breakers["payments"].history()] == ["reset", "we know better", "maintenance"]
