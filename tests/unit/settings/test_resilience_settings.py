"""Breakers and services are converted and checked at start, from every source."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.service.service import ServiceConfig
from perdure.settings.settings import load_settings

BREAKER = "PERDURE_RESILIENCE__BREAKERS__DEP__"
SERVICE = "PERDURE_RESILIENCE__SERVICES__PAY__"


def breaker() -> BreakerConfig:
    found = load_settings().resilience.breakers["dep"]
    assert isinstance(found, BreakerConfig)
    return found


def service() -> ServiceConfig:
    found = load_settings().resilience.services["pay"]
    assert isinstance(found, ServiceConfig)
    return found


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("recovery_timeout", "3", 3.0),
        ("recovery_timeout", "0.5", 0.5),
        ("failure_threshold", "7", 7),
        ("consecutive", "false", False),
        ("window", "time", "time"),
        ("half_open_permits", "2", 2),
        ("expected", '["TimeoutError", "json.JSONDecodeError"]', (TimeoutError, json.JSONDecodeError)),
        ("ignore", "KeyError", (KeyError,)),
    ],
)
def test_a_breakers_variable_is_converted(monkeypatch: pytest.MonkeyPatch, field: str, text: str, value: object) -> None:
    monkeypatch.setenv(BREAKER + field.upper(), text)
    found = getattr(breaker(), field)
    assert (found, type(found)) == (value, type(value))
    assert Perdure().breakers["dep"].config.recovery_timeout == breaker().recovery_timeout


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("TIMEOUT", "10", "timeout", 10.0),
        ("RETRY", "slow", "retry", "slow"),
        ("RETRY", "false", "retry", None),
        ("BREAKER", "false", "breaker", None),
        ("RETRY_BUDGET", "false", "retry_budget", None),
    ],
)
def test_a_services_variable_is_converted(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(SERVICE + name, text)
    assert getattr(service(), field) == value


def test_parts_of_a_service_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVICE + "RATE__RATE", "50")
    monkeypatch.setenv(SERVICE + "PERMITS", '{"limit": "3"}')
    monkeypatch.setenv(SERVICE + "FALLBACK", "true")
    monkeypatch.setenv(SERVICE + "RETRY__MAX_RETRIES", "4")
    monkeypatch.setenv(SERVICE + "RETRY__RETRY_ON", '["ConnectionError"]')
    found: Any = service()
    assert (found.rate.rate, found.permits.limit, found.fallback.max_age) == (50.0, 3, 86_400.0)
    assert (found.retry.max_retries, found.retry.retry_on) == (4, (ConnectionError,))


@pytest.mark.parametrize(
    "variable", ["PERDURE_RESILIENCE", "PERDURE_RESILIENCE__BREAKERS", "PERDURE_RESILIENCE__BREAKERS__DEP"]
)
def test_a_variable_may_hold_a_whole_table_as_json(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    table: dict[str, Any] = {"breakers": {"dep": {"recovery_timeout": "3", "failure_threshold": None, "failure_rate": 0.5}}}
    for name in variable.lower().split("__")[1:]:
        table = table[name]
    monkeypatch.setenv(variable, json.dumps(table))
    assert (breaker().recovery_timeout, breaker().failure_threshold) == (3.0, None)
    monkeypatch.setenv(f"{BREAKER}RECOVERY_TIMEOUT", "4")
    assert (breaker().recovery_timeout, breaker().failure_rate) == (4.0, 0.5)


def test_a_variable_means_the_files_table_whatever_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("perdure.toml").write_text("[resilience.breakers.Pay-Pal]\nfailure_threshold = 2\n")
    monkeypatch.setenv("PERDURE_RESILIENCE__BREAKERS__PAY_PAL__RECOVERY_TIMEOUT", "3")
    [(name, found)] = load_settings().resilience.breakers.items()
    assert (name, found.failure_threshold, found.recovery_timeout) == ("Pay-Pal", 2, 3.0)


def test_arguments_may_be_tables_or_configurations() -> None:
    given = {"services": {"pay": ServiceConfig(timeout=1)}, "breakers": {"dep": {"recovery_timeout": 3}}}
    found = load_settings(resilience=given).resilience
    assert (found.services["pay"].timeout, found.breakers["dep"].recovery_timeout) == (1, 3.0)


REFUSED = [
    ("breakers.dep.recovery_timeout", "soon", "must be a number"),
    ("breakers.dep.recovery_timeout", "nan", "finite"),
    ("breakers.dep.recovery_timeout", "inf", "finite"),
    ("breakers.dep.failure_threshold", "2.5", "must be a whole number"),
    ("breakers.dep.window", "calls", "'count' or 'time'"),
    ("breakers.dep.expected", "NoSuchError", "no exception 'NoSuchError' can be imported"),
    ("breakers.dep.expected", "int", "'int' is not an exception"),
    ("breakers.dep.recovry_timeout", "3", "Did you mean 'recovery_timeout'?"),
    ("services.pay.timout", "3", "Did you mean 'timeout'?"),
    ("services.pay.timeout", "-1", "timeout must be above 0"),
    ("services.pay.permits_wait", "-1", "permits_wait must not be below 0"),
    ("services.pay.retry", "fats", "Did you mean 'fast'?"),
    ("services.pay.retry.max_retries", "many", "must be a whole number"),
    ("services.pay.rate.rate", "x", "must be a number"),
    ("services.pay.rate.brust", "2", "Did you mean 'burst'?"),
    ("services.pay.rate", "5", "must be a table, true or false"),
    ("services.pay.retry_budget.capacity", "0", "capacity must be 1 or more"),
    ("services.pay.fallback.max_age", "-1", "max_age must be above 0"),
    ("services.pay.breaker.failure_rate", "2", "failure_rate must be above 0 and at most 1"),
    ("services.pay", "fast", "must be a table"),
]


@pytest.mark.parametrize(("setting", "text", "allowed"), REFUSED)
@pytest.mark.parametrize("source", ["environment", "file", "argument"])
def test_a_wrong_one_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, empty_folder: Path, source: str, setting: str, text: str, allowed: str
) -> None:
    variable = "PERDURE_RESILIENCE__" + setting.replace(".", "__").upper()
    arguments: dict[str, Any] = {}
    if source == "environment":
        monkeypatch.setenv(variable, text)
    elif source == "file":
        table, _, name = f"resilience.{setting}".rpartition(".")
        Path("perdure.toml").write_text(f'[{table}]\n{name} = "{text}"\n')
    else:
        value: Any = text
        for name in reversed(setting.split(".")):
            value = {name: value}
        arguments = {"resilience": value}
    with pytest.raises(SettingsError) as refused:
        Perdure(**arguments)
    said = str(refused.value)
    assert allowed in said
    assert f"resilience.{setting}".rpartition(".")[0] in said
    places = {"environment": variable, "file": f"{empty_folder}/perdure.toml", "argument": "an argument of Perdure()"}
    assert f"(from {places[source]})" in said or f"(from the environment variable {places[source]})" in said


def test_a_table_that_does_not_fit_names_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{BREAKER}SLOW_CALL_RATE", "0.5")
    with pytest.raises(SettingsError, match=r"slow_call_rate and slow_call_duration go together.*__SLOW_CALL_RATE"):
        Perdure()


def test_a_permit_without_its_limit_is_named() -> None:
    with pytest.raises(SettingsError, match=r"resilience\.services\.pay\.permits\.limit is missing"):
        Perdure(resilience={"services": {"pay": {"permits": True}}})


MODULE = """
from perdure import Perdure

app = Perdure()
at_start = app.settings.resilience.breakers["dep"]

class PaymentDown(Exception): ...
"""


def test_an_application_may_name_exceptions_of_its_own_module(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own_errors_app.py").write_text(MODULE)
    Path("perdure.toml").write_text('[resilience.breakers.dep]\nexpected = ["own_errors_app.PaymentDown"]\n')
    monkeypatch.syspath_prepend(str(empty_folder))
    import own_errors_app  # type: ignore[import-not-found]

    try:
        assert own_errors_app.app.breakers["dep"].config.expected == (own_errors_app.PaymentDown,)
        Path("perdure.toml").write_text('[resilience.breakers.dep]\nexpected = ["own_errors_app.PaymentDwon"]\n')
        with pytest.raises(SettingsError, match="PaymentDwon"):
            Perdure()
    finally:
        del sys.modules["own_errors_app"]


def test_failover_pools_and_timeouts() -> None:
    app = Perdure(
        resilience={
            "failover": {"mail": {"members": {"eu": "eu.example", "us": "us.example"}, "return_after": 5}},
            "pools": {"db": "background", "http": {"size": 7, "timeout": 1}},
            "timeouts": {"default": 3, "report": 120},
        }
    )
    assert app.failover["mail"].config.return_after == 5
    assert [member.service for member in app.failover["mail"].members] == ["eu.example", "us.example"]
    assert [app.pool(name, dict).config.size for name in ("db", "http", "other")] == [3, 7, 10]
    assert [app.timeouts[name].seconds for name in ("report", "other")] == [120, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"failover": {"mail": {"failure_treshold": 1}}},
            "failure_treshold is no setting. Did you mean 'failure_threshold'",
        ),
        ({"failover": {"mail": {"check_timeout": 0}}}, "check_timeout must be above 0"),
        ({"failover": {"mail": {"members": ["eu"]}}}, "members"),
        ({"pools": {"db": "criticl"}}, "no pool preset 'criticl'. Did you mean 'critical'"),
        ({"pools": {"db": {"size": 0}}}, "size must be 1 or more"),
        ({"timeouts": {"report": 0}}, "timeouts.report"),
    ],
)
def test_wrong_failover_pools_and_timeouts_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(resilience=given)
